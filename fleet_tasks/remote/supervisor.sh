# Runs one command in a session of its own, and sees to its end: the promise that nothing goes on
# when a run is over. Wants ft_timeout (seconds), ft_ticks (the grace in fifths of a second) and ft_mark,
# which stands in the environment of everything the task starts.
#
# Beyond the task it starts three processes: a watcher that reads what the laptop says (and notices its
# death), and a timer with its sleep. All three are ended with the task. With ft_lease (seconds), the laptop must
# say "alive" that often: a link that is cut without a word is noticed within two leases, by counting and by no clock.

ft_self=$$

# ft_lead COMMAND...: becomes the leader of a new session and turns into COMMAND.
# setsid is not POSIX, so there are others; where nothing makes a session, the tree is found by its mark.
ft_choose_leader() {
    if ft_has setsid; then
        ft_lead() { exec setsid "$@"; }
    elif ft_has busybox && busybox setsid true; then
        ft_lead() { exec busybox setsid "$@"; }
    elif ft_has perl && perl -MPOSIX -e 1; then
        ft_lead() { exec perl -MPOSIX -e 'POSIX::setsid(); exec { $ARGV[0] } @ARGV; exit 127' "$@"; }
    elif ft_has python3; then
        ft_lead() {
            exec python3 -c 'import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])' "$@"
        }
    else
        ft_lead() { exec "$@"; }
    fi
}

# ft_print TEXT: writes it, and never shows it to ps: printf may be a program (in the ksh family), print is none there.
ft_print() {
    case $(command -v printf) in
    /*) print -rn -- "$1" ;;
    *) printf %s "$1" ;;
    esac
}

# Sets ft_self in a subshell, where $$ is still its parent.
ft_find_self() {
    # shellcheck disable=SC2016 # the inner shell tells the process id of this subshell
    read -r ft_self _ </proc/self/stat || ft_self=$(exec sh -c 'echo "$PPID"')
}

# Notes what has to be ended when the supervisor does not, or is no more.
ft_note_child() {
    ft_find_self
    printf '%s %s %s %s\n' "$ft_self" "$ft_mark" "$ft_timer" "$ft_ticks" >"$ft_run/child"
}

# ft_become COMMAND...: in a process of its own, turns it into the task.
ft_become() {
    trap - PIPE
    [ -n "$ft_run" ] && ft_note_child
    ft_environment
    export FLEET_MARK="$ft_mark"
    cd "$ft_workdir" || exit 127
    ft_lead "$@" 2>&5 3<&- 4>&- 5>&-
}

# ft_start COMMAND...: starts the task; ft_environment exports what it may see, ft_stdin is what it may read.
ft_start() {
    ft_choose_leader
    ft_child=
    ft_watcher=
    ft_why=
    ft_left=
    # A child that is forked while TERM is trapped here swallows a TERM that comes before it has sorted its traps, and
    # a very short task ends its helpers that soon. So TERM is trapped last, and helpers are killed with KILL.
    trap - TERM
    ft_react=ft_note
    trap '"$ft_react" timed-out' ALRM
    trap '"$ft_react" gone' USR1 INT
    [ -n "${ft_detach:-}" ] || trap '"$ft_react" gone' HUP
    trap '"$ft_react" cancelled' USR2
    (ft_tell_time) >/dev/null 3<&- 4>&- 5>&- &
    ft_timer=$!
    # Before the task, which may kill us as soon as it is there.
    if [ -z "${ft_detach:-}" ]; then
        (ft_watch) >/dev/null 4>&- 5>&- &
        ft_watcher=$!
    fi
    if [ -n "${ft_stdin:-}" ]; then
        ft_print "$ft_stdin" | ft_become "$@" &
    else
        ft_become "$@" &
    fi
    ft_child=$!
    ft_react=ft_stop
    trap '"$ft_react" gone' TERM
}

# The timer: ALRM at the timeout, USR1 when a lease ran out. A trap is only heard between commands, so the sleep is
# in the background, and $! in the trap is always that sleep.
ft_tell_time() {
    trap 'kill -KILL $!; exit' TERM
    ft_rest=$ft_timeout
    ft_heard=
    while [ "$ft_rest" -gt 0 ]; do
        ft_slice=$ft_rest
        [ -n "${ft_lease:-}" ] && [ "$ft_slice" -gt "$ft_lease" ] && ft_slice=$ft_lease
        sleep "$ft_slice" &
        wait $!
        ft_rest=$((ft_rest - ft_slice))
        [ -n "${ft_lease:-}" ] && ! kill -0 "$ft_self" && return
        if [ -n "${ft_lease:-}" ] && [ "$ft_rest" -gt 0 ]; then
            ft_beat=
            # An empty file is one that is being written just now.
            if read -r ft_beat <"$ft_run/contact" || [ ! -f "$ft_run/contact" ]; then
                [ "$ft_beat" = "$ft_heard" ] && kill -USR1 "$ft_self" && return
                ft_heard=$ft_beat
            fi
        fi
    done
    kill -ALRM "$ft_self" && return
    # The supervisor was killed: the deadline of a detached task is kept without it.
    read -r ft_child ft_mark _ <"$ft_run/child" && ft_end
}

# The watcher: passes on what the laptop says, and its silence for ever.
ft_watch() {
    ft_beat=0
    while read -r ft_word <&3; do
        case $ft_word in
        alive)
            ft_beat=$((ft_beat + 1))
            printf '%s\n' "$ft_beat" >"$ft_run/contact"
            ;;
        stop) kill -USR2 "$ft_self" ;;
        timeout) kill -ALRM "$ft_self" ;;
        esac
    done
    kill -USR1 "$ft_self" && return
    # The supervisor was killed: what it would have done is done here.
    [ -n "$ft_run" ] && read -r ft_child ft_mark ft_timer _ <"$ft_run/child"
    ft_end
    kill "$ft_timer"
    ft_drop
}

# Waits for the task; sets ft_status. Traps end the task themselves, so an interrupted wait is just repeated,
# once more too when the task is dead: then it tells its real status, or 127 when that was told already.
ft_await() {
    [ -n "$ft_why" ] && ft_end
    while :; do
        wait "$ft_child"
        ft_status=$?
        [ "$ft_status" -le 128 ] && break
        kill -0 "$ft_child" && continue
        wait "$ft_child"
        ft_again=$?
        [ "$ft_again" -eq 127 ] || ft_status=$ft_again
        break
    done
    trap : ALRM USR1 USR2 HUP TERM INT
    [ -n "$ft_why" ] || ft_sweep
    # Not waited for: should the timer ever miss its TERM, that costs one sleep, and not the task its timeout.
    kill "$ft_timer"
    [ -n "$ft_watcher" ] && kill -KILL "$ft_watcher"
    trap - ALRM USR1 USR2
}

# The task ended by itself: ends what it left behind. No group left and nobody newer than the task, but our own
# timer and watcher, is the usual case, seen without starting a process.
ft_sweep() {
    if ! kill -0 "-$ft_child" && ft_newest; then
        ft_asleep=
        read -r ft_asleep </proc/"$ft_timer/task/$ft_timer"/children
        ft_lurks "$ft_watcher $ft_timer $ft_asleep" && ft_end
    else
        ft_end
    fi
}

# Sets ft_last to the id of the newest process there was; fails where that cannot be known.
ft_newest() { read -r _ _ _ _ ft_last </proc/loadavg; }

# ft_lurks IDS: whether one of our own processes that were started since the task has its mark, IDS apart. It looks
# again for who was started meanwhile, who may be a child of one that was gone before its turn; and for who turned
# into another program meanwhile, and had no environment then.
ft_lurks() {
    ft_seen=" $1 "
    ft_first=$ft_child
    [ "$ft_last" -ge "$ft_child" ] || ft_first=1 # ids began again
    ft_find_program self
    ft_own=$ft_program
    ft_glances=0
    while [ "$ft_glances" -lt 6 ] && ft_list_newer; do
        # shellcheck disable=SC2086 # a list of files without blanks
        grep -q "FLEET_MARK=$ft_mark" $ft_environs && return
        ft_glances=$((ft_glances + 1))
        # That takes microseconds, or longer where the processors are busy.
        ft_settle || [ "$ft_glances" -lt 2 ] || ft_pause
    done
    return 1
}

# Sets ft_newer to our own processes that were started since ft_first and not seen yet, each with its ft_program, and
# ft_environs to their environments; fails when there are none.
ft_list_newer() {
    ft_newer=
    ft_environs=
    for ft_dir in /proc/[0-9]*; do
        ft_pid=${ft_dir#/proc/}
        [ "$ft_pid" -gt "$ft_first" ] || continue
        [ -O "$ft_dir" ] || continue
        case $ft_seen in *" $ft_pid "*) continue ;; esac
        ft_find_program "$ft_pid" || continue
        ft_newer="$ft_newer $ft_pid $ft_program"
        ft_environs="$ft_environs $ft_dir/environ"
    done
    [ -n "$ft_environs" ]
}

# Those of ft_newer that are the program they were have been seen, environment and all; fails when others are left.
ft_settle() {
    ft_settled=0
    # shellcheck disable=SC2086 # two numbers for each process
    set -- $ft_newer
    while [ $# -gt 0 ]; do
        if ft_find_program "$1"; then
            if [ "$ft_program" = "$2" ] && { [ "$2" != 0 ] || [ "$ft_own" = 0 ]; }; then
                ft_seen="$ft_seen$1 "
            else
                ft_settled=1
            fi
        fi
        shift 2
    done
    return "$ft_settled"
}

# ft_find_program PID: sets ft_program to what tells one program of a process from the next: where its environment ends
# (proc(5), stat, field 51), 0 while it turns into another, and on a system that does not tell. Fails for one that is
# over, and for the kernel's own: they have no memory (field 23).
ft_find_program() {
    read -r ft_line <"/proc/$1/stat" || return
    # shellcheck disable=SC2086 # fields, from the third on
    set -- ${ft_line##*) }
    ft_program=${49:-0}
    [ "${21:-0}" != 0 ]
}

# ft_note WHY: a trap's whole work while there is no task to end yet; ft_await sees to it.
ft_note() { ft_why=${ft_why:-$1}; }

# ft_stop WHY: a trap's whole work; the first cause is the one that counts. In dash and busybox a trap within a trap
# spoils the status of the command it comes upon: a test comes out wrong, and a stranger is taken for a process of the
# task. So there is no other one from here on.
ft_stop() {
    trap '' ALRM USR1 USR2 HUP TERM INT
    [ -n "$ft_why" ] && return
    ft_why=$1
    ft_end
}

# TERM, the grace, KILL, to the whole tree; ft_left names what would not go. Whoever stops the run may have said
# another grace.
ft_end() {
    [ -n "$ft_run" ] && read -r ft_asked <"$ft_run/grace" && ft_ticks=$ft_asked
    ft_survey
    [ -z "$ft_left" ] && return
    ft_signal TERM
    ft_tick=0
    while [ "$ft_tick" -le "$ft_ticks" ]; do
        ft_pause
        # A survey takes its time, by which the grace would grow: once a second, and when those we know are gone.
        [ "$((ft_tick % 5))" -ne 0 ] && ft_stirs && continue
        ft_survey
        [ -z "$ft_left" ] && return
    done
    ft_round=0
    while [ -n "$ft_left" ] && [ "$ft_round" -lt 20 ]; do
        ft_signal KILL
        [ "$ft_round" -gt 0 ] && ft_pause
        ft_survey
        ft_round=$((ft_round + 1))
    done
}

# Whether any of ft_left is still there.
ft_stirs() {
    for ft_pid in $ft_left; do
        kill -0 "$ft_pid" && return
    done
    return 1
}

# Sleeps a fifth of a second where that can be said, else a whole one.
ft_pause() {
    if sleep 0.2; then ft_tick=$((ft_tick + 1)); else
        sleep 1
        ft_tick=$((ft_tick + 5))
    fi
}

ft_signal() {
    [ -n "$ft_child" ] && { kill "-$1" "-$ft_child" || kill "-$1" "$ft_child"; }
    # shellcheck disable=SC2086 # a list of process ids
    [ -n "$ft_left" ] && kill "-$1" $ft_left
}

# Sets ft_left: every living process of the task, in its group or session, with its mark, or a child of such.
# Finding none, it looks again when others were started meanwhile: one may be a child of one that was gone before
# its turn.
ft_survey() {
    ft_known=" $ft_child $ft_left "
    ft_looks=0
    while [ "$ft_looks" -lt 5 ]; do
        ft_last=0
        ft_newest
        ft_before=$ft_last
        ft_list
        [ -z "$ft_left" ] && ft_newest || return
        # The one that we start ourselves is the grep.
        [ "$ft_last" -gt "$((ft_before + 1))" ] || ft_lurks '' || return
        ft_looks=$((ft_looks + 1))
    done
}

ft_list() {
    if [ -r /proc/self/stat ]; then ft_rows_from_proc; else ft_rows_from_ps; fi
    ft_met=
    # A child may stand before its parent: its number began again, or has more digits.
    while [ "$ft_met" != "$ft_known" ]; do
        ft_met=$ft_known
        ft_left=
        # shellcheck disable=SC2086 # four numbers for each process
        set -- $ft_rows
        while [ $# -gt 0 ]; do
            ft_judge "$1" "$2" "$3" "$4"
            shift 4
        done
    done
    # Where nobody tells who is there, the task itself can be asked for.
    [ -z "$ft_rows" ] && kill -0 "$ft_child" && ft_left=" $ft_child"
}

# Sets ft_rows: PID PPID PGRP SESSION of every living process; and ft_marked, the environments with the mark.
ft_rows_from_proc() {
    ft_rows=
    ft_marked=$(grep -l "FLEET_MARK=$ft_mark" /proc/[0-9]*/environ)
    for ft_dir in /proc/[0-9]*; do
        read -r ft_line <"$ft_dir/stat" || continue
        # shellcheck disable=SC2086 # fields: state ppid pgrp session
        set -- ${ft_line##*) }
        case $1 in Z | X) continue ;; esac
        ft_rows="$ft_rows ${ft_dir#/proc/} $2 $3 $4"
    done
}

# In one list with commas the first = would be a heading for the rest (POSIX), as it is on FreeBSD.
ft_rows_from_ps() {
    ft_marked=
    ft_rows=$(ps -A -o pid= -o ppid= -o pgid= -o stat= | while read -r ft_pid ft_parent ft_group ft_state; do
        case $ft_state in Z* | '') ;; *) echo "$ft_pid $ft_parent $ft_group 0" ;; esac
    done)
}

# ft_judge PID PPID PGRP SESSION: adds PID to ft_left when it belongs to the task.
ft_judge() {
    case $1 in "$ft_self" | "$ft_timer" | "$ft_watcher") return ;; esac
    if [ "$3" != "$ft_child" ] && [ "$4" != "$ft_child" ]; then
        case $ft_known in *" $1 "* | *" $2 "*) ;; *)
            case $ft_marked in *"/proc/$1/"*) ;; *) return ;; esac
            ;;
        esac
        [ "$2" = "$ft_self" ] && [ "$1" != "$ft_child" ] && return
    fi
    ft_left="$ft_left $1"
    case $ft_known in *" $1 "*) ;; *) ft_known="$ft_known$1 " ;; esac
}
