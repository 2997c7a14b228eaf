# What every script of ours begins with. Assigned at the head of the stream: ft_nonce, a word that
# neither the task nor the login's rc files can know. A line that starts with it is ours ("frame");
# everything before the first frame is noise of the login shell.
#
# File descriptors: 3 is the laptop (the channel's input), 4 and 5 the channel's output and error.
# Our own error output goes nowhere, because shells comment on killed children there.

ft_say() { printf '%s %s\n' "$ft_nonce" "$*" >&4; }

# To be called first, inside main: by then the shell has read the whole script from its input.
ft_begin() {
    exec 3<&0 4>&1 5>&2 </dev/null 2>/dev/null
    trap : PIPE
    ft_greet
}

# The first frames of a script.
ft_greet() {
    ft_say begin
    printf '%s begin\n' "$ft_nonce" >&5
}

# The last frame of a script; what follows on the channel is not ours.
ft_finish() {
    printf '%s end\n' "$ft_nonce" >&5
    ft_say end "$*"
}

# ft_fail CODE WHY: ends the script; CODE is one of the stable words of the documents. Whoever is told of it finds
# nothing half done.
ft_fail() {
    ft_code=$1
    shift
    (ft_drop)
    ft_say fail "$ft_code" "$*"
    ft_finish failed
    exit 1
}

# Removes the run's folder; replaced where there is more to do.
ft_drop() {
    [ -n "${ft_run:-}" ] && [ -z "${ft_keep:-}" ] && cd / && exec rm -rf "$ft_run"
}

ft_has() { command -v "$1" >/dev/null; }

# ft_make FOLDER: makes it, parents too; fails with the code that fits.
ft_make() {
    ft_said=$(mkdir -p -- "$1" 2>&1) || ft_refuse_place
}

# A place where nothing can be made or written, by what the system said of it in ft_said.
ft_refuse_place() {
    case $ft_said in
    *[Nn]o\ space* | *[Qq]uota*) ft_fail no-space "$ft_said" ;;
    *[Rr]ead-only* | *[Pp]ermission*) ft_fail home-read-only "$ft_said" ;;
    *) ft_fail home-missing "$ft_said" ;;
    esac
}

# Sets ft_base, our folder on the device for what stays: agents and the manifest. ft_home is the device's setting.
ft_find_base() {
    ft_expand "${ft_home:-.local/share/fleet-tasks}"
    ft_base=$ft_path
}

# Makes ft_base, private, and notes in its manifest the topmost folder that was not there before.
ft_make_base() {
    [ -s "$ft_base/manifest" ] && return
    ft_top=$ft_base
    while [ "${ft_top%/*}" != "" ] && [ ! -d "${ft_top%/*}" ]; do ft_top=${ft_top%/*}; done
    [ -d "$ft_base" ] && ft_top=
    ft_said=$(mkdir -p -- "$ft_base" 2>&1) && {
        chmod 700 "$ft_base"
        ft_said=$({ printf 'made %s\n' "$ft_top" >"$ft_base/manifest"; } 2>&1) && return
    }
    # A full disk takes a file and not its line, of which a shell may say no more than "I/O error".
    [ -f "$ft_base/manifest" ] && ft_said="There is no space left in $ft_base."
    rm -f "$ft_base/manifest"
    [ -n "$ft_top" ] && ft_unmake "$ft_base" "$ft_top"
    ft_refuse_place
}

# ft_unmake FOLDER TOP: removes a folder and those above it, TOP the last, as long as they are empty or not there.
ft_unmake() {
    ft_each=$1
    while [ "${#ft_each}" -ge "${#2}" ]; do
        [ ! -d "$ft_each" ] || rmdir "$ft_each" || break
        ft_each=${ft_each%/*}
    done
}

# ft_expand PATH: a path of the user's, relative to the home unless absolute, into ft_path.
ft_expand() {
    case $1 in
    /*)
        ft_path=$1
        return
        ;;
    esac
    [ -n "${HOME:-}" ] && [ -d "$HOME" ] || ft_fail home-missing "The login has no home folder."
    case $1 in
    '~') ft_path=$HOME ;;
    '~/'*) ft_path=$HOME/${1#'~/'} ;;
    *) ft_path=$HOME/$1 ;;
    esac
}

# Makes ft_run, a fresh folder for this run alone: where the device's home setting says, else in the
# temporary folder, else at home. A folder that is there already is never taken: mkdir without -p fails.
ft_open_run() {
    ft_name=fleet-tasks-$ft_id
    if [ -n "$ft_home" ]; then
        ft_find_base
        [ -d "$ft_base" ] || ft_make_base
        ft_try_run "$ft_base/$ft_name" || ft_refuse_place
    else
        ft_try_run "${TMPDIR:-/tmp}/$ft_name" || ft_try_run "${HOME:-/nonexistent}/.$ft_name" || ft_refuse_place
    fi
    printf '%s\n' "$ft_about" >"$ft_run/about" && ft_note_supervisor "$ft_self" || ft_fail no-space "Cannot write into $ft_run."
}

ft_try_run() {
    ft_run=
    ft_said=$(mkdir -m 700 -- "$1" 2>&1) && ft_run=$1
}

# The boot that a process id belongs to: after another one it is somebody else's. Unknown without /proc.
ft_find_boot() {
    ft_boot=
    read -r ft_boot </proc/sys/kernel/random/boot_id
    ft_boot=${ft_boot:--}
}

ft_note_supervisor() {
    ft_find_boot
    printf '%s %s\n' "$1" "$ft_boot" >"$ft_run/supervisor"
}

# ft_goes_on FOLDER: whether the supervisor of the run in FOLDER is there; ft_pid is its id.
ft_goes_on() {
    ft_pid=
    ft_then=
    read -r ft_pid ft_then <"$1/supervisor" && ft_find_boot && [ "$ft_then" = "$ft_boot" ] && kill -0 "$ft_pid"
}
