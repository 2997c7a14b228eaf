# Serves one task after the other to a laptop that keeps its channel: what a task's own stream would begin with comes
# line by line, up to the word that frames its answers. Each task has a process of its own, which alone learns its
# values: no variable, folder, trap or secret outlives it. What it left behind is ended before the next begins; only a
# process that hid from that, in a session and with an environment of its own, could write into the next one's answer.

# How loaded the device is, and what is installed: who waits for a task is chosen by it.
ft_tell_condition() {
    ft_now=
    read -r ft_now _ </proc/loadavg || ft_now=$(ft_load)
    ft_agents=
    if [ -d "${HOME:-/nonexistent}" ]; then
        ft_find_base
        for ft_each in "$ft_base"/agents/*/current; do
            [ -f "$ft_each" ] || continue
            ft_each=${ft_each%/current}
            ft_agents="$ft_agents ${ft_each##*/}"
        done
    fi
    ft_say here "${ft_now:--}" "${ft_count:--}" "$ft_agents"
}

main() {
    ft_begin
    ft_count=$(ft_cores)
    ft_tell_condition
    ft_finish
    while read -r ft_word ft_nonce <&3; do
        # What came too late for a task that is over ("alive") is for nobody.
        [ "$ft_word" = task ] || continue
        (ft_serve)
        # Somebody killed it: as without us, the laptop sees that at the channel's end.
        [ $? -le 128 ] || return
    done
}

ft_serve() {
    unset ft_line ft_lines || :
    while IFS= read -r ft_line <&3 && [ "$ft_line" != "$ft_nonce" ]; do
        ft_lines="${ft_lines:-}$ft_line
"
    done
    [ "$ft_line" = "$ft_nonce" ] || return 0 # the laptop is gone
    eval "$ft_lines"
    unset ft_line ft_lines
    trap : PIPE
    ft_find_self
    ft_greet
    ft_tell_condition
    ft_dispatch
}
