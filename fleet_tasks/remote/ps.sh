# Which runs of this login are on the device: going on, or ended and not fetched yet.

main() {
    ft_begin
    for ft_each in "${TMPDIR:-/tmp}"/fleet-tasks-* "${HOME:-/nonexistent}"/.fleet-tasks-*; do ft_look; done
    if [ -n "$ft_home" ]; then
        ft_find_base
        for ft_each in "$ft_base"/fleet-tasks-*; do ft_look; done
    fi
    ft_finish
}

ft_look() {
    [ -d "$ft_each" ] && [ -O "$ft_each" ] && read -r ft_about <"$ft_each/about" || return
    ft_state=lost
    ft_ended=
    if read -r ft_ended <"$ft_each/exit"; then ft_state=ended; elif ft_goes_on "$ft_each"; then ft_state=running; fi
    ft_say run "$ft_state" "$ft_about"
    ft_say folder "$ft_each"
    ft_say ended "$ft_ended"
}
