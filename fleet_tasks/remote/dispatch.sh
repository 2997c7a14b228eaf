# One task, from its text to its files: makes the run's folder, takes what is sent, runs the agent's
# script under the supervisor, gives back what is asked for, and leaves nothing behind.

# What the task may see, besides what the login gives it.
ft_environment() {
    export FLEET_TASK_FILE="$ft_run/task"
    [ -n "$ft_task" ] && export FLEET_TASK="$ft_task"
    [ -n "$ft_agent" ] && export FLEET_AGENT_HOME="$ft_base/agents/$ft_agent/$ft_version"
    ft_exports
}

# Sets ft_clock, in hundredths of a second; only differences have a meaning.
ft_read_clock() {
    ft_clock=
    read -r ft_clock _ </proc/uptime || ft_clock=$(date +%s).00
    ft_clock=${ft_clock%.*}${ft_clock#*.}
}

# Removes what attached runs of this device had beside ours when it restarted: nobody is left to do it. The folder of a
# detached run has its output in it, and waits for whoever follows it.
ft_clear_before_boot() {
    [ "$ft_boot" = - ] && return
    read -r _ ft_device _ <"$ft_run/about"
    for ft_each in "${ft_run%"$ft_id"}"*; do
        [ -O "$ft_each" ] && [ ! -f "$ft_each/out" ] && read -r _ ft_then <"$ft_each/supervisor" || continue
        case $ft_then in "$ft_boot" | - | '') continue ;; esac
        read -r _ ft_name _ <"$ft_each/about" && [ "$ft_name" = "$ft_device" ] && rm -rf "$ft_each"
    done
}

# Lets the task go on without us: a supervisor in the background, streams and exit status in files of the run's
# folder, which stays until somebody has fetched what is in it.
ft_go_on_alone() {
    ft_lease=
    (
        trap '' HUP
        ft_find_self
        ft_read_clock
        ft_began=$ft_clock
        ft_start sh "$ft_run/agent.sh"
        ft_await
        ft_read_clock
        printf '%s\n' "$((ft_clock - ft_began))" >"$ft_run/took"
        printf '%s %s %s\n' "$ft_status" "${ft_why:-ended}" "$ft_left" >"$ft_run/ending"
        mv "$ft_run/ending" "$ft_run/exit"
    ) </dev/null >"$ft_run/out" 2>/dev/null 3<&- 4>/dev/null 5>"$ft_run/err" &
    # Whoever is told of the run may stop it at once: so its supervisor is noted here, and listens when the task is there.
    ft_supervisor=$!
    ft_note_supervisor "$ft_supervisor"
    ft_looks=0
    while [ ! -s "$ft_run/child" ] && kill -0 "$ft_supervisor" && [ "$ft_looks" -lt 2010 ]; do
        ft_looks=$((ft_looks + 1))
        [ "$ft_looks" -lt 2000 ] || ft_pause
    done
    ft_say detached "$ft_boot" "$ft_run"
    ft_finish
    exit 0
}

main() {
    ft_begin
    ft_dispatch
}

ft_miss_agent() { ft_fail agent-missing "The agent $ft_agent is not installed."; }

ft_dispatch() {
    if [ -n "$ft_agent" ]; then
        ft_find_base
        read -r ft_version <"$ft_base/agents/$ft_agent/current" || ft_miss_agent
    fi
    ft_open_run
    if [ -n "$ft_agent" ]; then
        printf '%s\n' "$ft_base/agents/$ft_agent/$ft_version" >"$ft_run/uses"
        # Somebody who cleans up may have been faster; who comes from here on sees that it is used.
        [ -d "$ft_base/agents/$ft_agent/$ft_version" ] || ft_miss_agent
    fi
    ft_clear_before_boot
    ft_workdir=$ft_run/work
    if [ -n "$ft_at" ]; then
        ft_expand "$ft_at"
        ft_workdir=$ft_path
        [ -d "$ft_workdir" ] || ft_fail home-missing "There is no folder $ft_workdir."
    else
        mkdir "$ft_workdir" || ft_fail no-space "Cannot make a working folder in $ft_run."
    fi
    printf '%s' "$ft_script" >"$ft_run/agent.sh" || ft_fail no-space "Cannot write into $ft_run."
    if [ -n "$ft_sends" ]; then
        ft_receive "$ft_run"
        if [ -n "$ft_at" ] && [ -d "$ft_run/work" ]; then
            # First beside the user's files as a whole: a disk that gets full on the way costs none of them.
            ft_staged=$ft_workdir/.fleet-tasks-$ft_id.new
            ft_said=$(mv "$ft_run/work" "$ft_staged" 2>&1 && ft_place "$ft_staged" "$ft_workdir" 2>&1)
            ft_placed=$?
            rm -rf "$ft_staged"
            [ "$ft_placed" -eq 0 ] || ft_refuse_files
        fi
    fi
    [ -f "$ft_run/task" ] || printf '%s' "$ft_task" >"$ft_run/task" ||
        ft_fail no-space "Cannot write into $ft_run."
    if [ -n "$ft_detach" ]; then ft_go_on_alone; fi
    ft_say started "$ft_self"
    ft_start sh "$ft_run/agent.sh"
    ft_await
    true >"$ft_run/uses"
    # What it would still read is not for it, where another task may follow on the channel.
    wait "$ft_watcher"
    ft_say exit "$ft_status" "${ft_why:-ended}" "$ft_left"
    printf '%s end\n' "$ft_nonce" >&5
    if [ -n "$ft_fetches" ] && [ "$ft_why" != gone ]; then
        cd "$ft_workdir" && ft_give
    fi
    ft_say end
    ft_drop
}
