# One look at a device: its facts, and what the agent says of itself.

main() {
    ft_begin
    ft_facts
    if ft_find_agent; then
        if [ -n "$ft_script" ]; then ft_agent_says "$ft_script"; fi
    else
        ft_say missing
        [ -n "$ft_anyway" ] && ft_agent_says "$ft_script"
    fi
    ft_finish
}
