# Ends runs, whoever started them, and looks whether they are gone. ft_pattern names their folders; ft_asked is the grace
# in fifths of a second, which counts where a run has not noted its own, and with ft_insists in any case.

main() {
    ft_begin
    ft_roots="${TMPDIR:-/tmp}/ ${HOME:-/nonexistent}/."
    for ft_root in $ft_roots; do ft_stop_below "$ft_root"; done
    if [ -n "$ft_home" ]; then
        ft_find_base
        ft_stop_below "$ft_base/"
    fi
    ft_finish
}

ft_stop_below() {
    ft_ifs=$IFS
    IFS=
    # shellcheck disable=SC2086 # the pattern is to be expanded, and not to be split
    set -- "$1"$ft_pattern
    IFS=$ft_ifs
    for ft_each in "$@"; do
        # Devices may share a machine and a login; each run says for which it is.
        [ -d "$ft_each" ] && [ -O "$ft_each" ] && read -r _ ft_name _ <"$ft_each/about" || continue
        [ "$ft_name" = "$ft_device" ] && ft_stop_one
    done
}

ft_stop_one() {
    ft_ended=
    ft_left=
    ft_going=
    ft_goes_on "$ft_each" && ft_going=1
    ft_child=
    ft_ticks=
    read -r ft_child ft_mark ft_timer ft_ticks <"$ft_each/child"
    ft_ticks=${ft_ticks:-$ft_asked}
    if [ -n "$ft_insists" ]; then
        ft_ticks=$ft_asked
        printf '%s\n' "$ft_ticks" >"$ft_each/grace"
    fi
    # A run that is over, or of before the last boot, has left its process ids to others.
    ft_look=1
    [ "$ft_then" = "$ft_boot" ] || ft_look=
    if read -r ft_ended <"$ft_each/exit"; then
        case $ft_ended in *' '*' '*) ;; *) ft_look= ;; esac
    elif [ -n "$ft_going" ]; then
        kill -USR2 "$ft_pid"
        ft_tick=0
        while [ "$ft_tick" -le "$((ft_ticks + 50))" ]; do
            kill -0 "$ft_pid" || break
            read -r ft_ended <"$ft_each/exit" && break
            ft_pause
            [ "$((ft_tick % 25))" -ne 0 ] || ft_say waiting
        done
    fi
    # Where the supervisor itself was killed, what it had started is found by its mark.
    if [ -n "$ft_look" ] && [ -n "$ft_child" ]; then
        [ -n "$ft_ended" ] || kill "$ft_timer"
        ft_survey
        [ -n "$ft_left" ] && ft_end
    fi
    ft_say stopped "$ft_left"
    if [ -z "$ft_left" ] && { [ -n "$ft_remove" ] || [ -z "$ft_ended" ]; }; then rm -rf "$ft_each"; fi
}
