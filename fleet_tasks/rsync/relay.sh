# What rsync on this machine starts in place of ssh: tells us which command line it wants on the other side, up to an
# empty line, and then passes bytes on, until we hang up: rsync waits for that. 8 and 9 are ours.
shift # the name of the device
printf '%s\n' "$@" '' >&9
exec 7<&0
cat <&7 >&9 8<&- &
exec cat <&8 7<&- 9>&-
