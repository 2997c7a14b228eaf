# Removes what deploy made: the agent's folders, its links, and, with the last agent, our own folder and
# whatever folders above it we had to make. Then says what is left, if anything, and which other agents are there.

main() {
    ft_begin
    ft_find_base
    ft_agents=$ft_base/agents/$ft_agent
    [ -n "$ft_spare" ] && ft_is_wanted "$ft_agents" && ft_leave_to_others
    [ -d "$ft_agents" ] || ft_say absent
    if ft_find_agent || [ -n "$ft_alone" ]; then # an agent that needs no installing may have a teardown, too
        ft_workdir=$ft_agent_home
        if [ -n "$ft_script" ]; then ft_agent_says "$ft_script"; fi
    fi
    cd /
    # Out of reach first: whoever begins from here on finds it missing, and whoever began before is seen now.
    ft_gone=$ft_base/agents/.gone-$ft_id
    mv "$ft_agents" "$ft_gone"
    if [ -n "$ft_spare" ]; then
        ft_is_wanted "$ft_gone" && mv "$ft_gone" "$ft_agents" && ft_leave_to_others
    else
        rm -rf "$ft_base"/agents/.gone-*
    fi
    ft_links
    rm -rf "$ft_gone"
    ft_stale
    ft_leave && ft_left_over "$ft_base"
    ft_left_over "$ft_gone"
    ft_left_over "$ft_agents"
    ft_others
    ft_finish
}

# ft_is_wanted FOLDER: whether a run works with the agent, or somebody brings it just now, into FOLDER.
ft_is_wanted() {
    ft_used "$ft_agents" || [ -n "$(find "$1" -maxdepth 1 -name '.new-*' -mmin -10)" ]
}

# Who cleans up after a task leaves the agent to another run, which will clean up itself.
ft_leave_to_others() {
    ft_say absent
    ft_finish
    exit 0
}

# Removes this agent's links, as long as they still lead to us.
ft_links() {
    ft_kept=
    while read -r ft_kind ft_name ft_rest; do
        if [ "$ft_kind" = link ] && [ "$ft_name" = "$ft_agent" ]; then
            if [ -L "$ft_rest" ]; then
                case $(ls -l "$ft_rest") in *"-> $ft_base/agents/$ft_agent/"*) rm -f "$ft_rest" ;; esac
            fi
            continue
        fi
        ft_kept="$ft_kept$ft_kind $ft_name${ft_rest:+ $ft_rest}
"
    done <"$ft_base/manifest" || return
    printf %s "$ft_kept" >"$ft_base/manifest"
}

# This device's run folders whose supervisor is gone without an end: killed, or the device restarted. A detached run
# that ended keeps its folder until somebody has fetched what is in it.
ft_stale() {
    for ft_each in "${TMPDIR:-/tmp}"/fleet-tasks-* "${HOME:-}"/.fleet-tasks-* "$ft_base"/fleet-tasks-*; do
        [ -f "$ft_each/supervisor" ] && [ -O "$ft_each" ] && read -r _ ft_name _ <"$ft_each/about" || continue
        [ "$ft_name" = "$ft_device" ] || continue
        [ -f "$ft_each/exit" ] || ft_goes_on "$ft_each" || rm -rf "$ft_each"
    done
}

# Names the other agents there are. With none, only what is not of our making can hold their folder.
ft_others() {
    ft_other=
    for ft_each in "$ft_base"/agents/*/; do
        ft_other=${ft_each%/}
        [ -d "$ft_other" ] && [ "$ft_other" != "$ft_base/agents/$ft_agent" ] && ft_say other "${ft_other##*/}"
    done
    [ -d "$ft_other" ] || ft_left_over "$ft_base/agents"
}

ft_left_over() {
    [ ! -e "$1" ] || ft_say left "$1"
}
