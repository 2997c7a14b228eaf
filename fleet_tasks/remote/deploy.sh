# Installs an agent: says what the device is and has, is told what to do, takes the payload, lets the agent's
# own script look at it, and puts it in place in one step.

main() {
    ft_begin
    ft_say platform "$(uname -s)" "$(ft_machine)"
    ft_find_base
    ft_agents=$ft_base/agents/$ft_agent
    ft_version=
    read -r ft_version <"$ft_agents/current"
    ft_has rsync && ft_say means rsync
    ft_say installed "$ft_version"
    while read -r ft_word ft_wanted <&3; do
        case $ft_word in
        verify)
            ft_digest "$ft_agents/$ft_wanted"
            ft_say check
            ;;
        begin)
            ft_begin_version
            ft_say based
            ;;
        base) ft_take_over "$ft_wanted" ;;
        drop) rm -f -- "$ft_run/$ft_wanted" ;;
        keep)
            if [ -n "$ft_version" ]; then
                ft_mend_modes
                ft_sweep
            fi
            break
            ;;
        install)
            ft_install
            break
            ;;
        esac
    done
    [ -n "$ft_word" ] || ft_fail cancelled "The laptop said nothing."
    ft_find_agent && [ -n "$ft_status_script" ] && ft_agent_says "$ft_status_script"
    ft_finish
}

# What was begun goes. Where nothing else of the agent is there, so does its folder, and with the only agent all of ours.
ft_drop() {
    [ -n "${ft_agents:-}" ] || return # it is not even known where they would be
    cd /
    [ -n "${ft_run:-}" ] && rm -rf "$ft_run"
    rmdir "$ft_agents"
    ft_leave
}

# Begins a version in an empty folder of its own, out of the way.
ft_begin_version() {
    ft_make_base
    ft_make "$ft_agents"
    ft_run=$ft_agents/.new-$ft_id
    rm -rf "$ft_run"
    ft_make "$ft_run"
}

# What is the same in the version that is there need not travel again: begins with a copy, of which the laptop then
# names what has to go, or rsync makes what is to be there. Links are of nobody's making.
ft_take_over() {
    ft_begin_version
    if cd "$ft_agents/$1" && cp -RPp . "$ft_run"; then
        find "$ft_run" ! -type f ! -type d -exec rm -f {} +
        ft_say based
    else
        ft_begin_version
        ft_say baseless
    fi
    cd /
}

ft_install() {
    [ -n "${ft_run:-}" ] || ft_begin_version
    ft_receive "$ft_run"
    ft_workdir=$ft_run
    if [ -n "$ft_script" ]; then
        ft_agent_home=$ft_run
        ft_agent_says "$ft_script"
        rm -f "$ft_run/child" "$ft_run/contact" # the supervisor's own notes
        if [ "$ft_status" -ne 0 ]; then
            ft_drop
            ft_finish refused
            exit 1
        fi
    fi
    # Before anything takes its place, as there may be no room for so much as this line.
    printf '%s\n' "$ft_wanted" >"$ft_agents/.current-$ft_id" || {
        rm -f "$ft_agents/.current-$ft_id"
        ft_fail no-space "There is no space left in $ft_agents."
    }
    # What is there and was current is broken and goes; otherwise another laptop was faster, with the same bytes.
    if [ "$ft_version" = "$ft_wanted" ]; then mv "$ft_agents/$ft_wanted" "$ft_agents/.old-$ft_id"; fi
    if [ -d "$ft_agents/$ft_wanted" ]; then
        rm -rf "$ft_run"
    else
        mv "$ft_run" "$ft_agents/$ft_wanted" || ft_fail transfer-failed "Cannot put the agent into $ft_agents."
    fi
    ft_run=
    ft_workdir=/
    mv -f "$ft_agents/.current-$ft_id" "$ft_agents/current"
    ft_say placed
    ft_version=$ft_wanted
    ft_sweep
    [ -n "$ft_link" ] && ft_make_link
}

# What is in bin is there to be run, whatever became of its mode; of bytes alone that cannot be seen.
ft_mend_modes() {
    for ft_each in "$ft_agents/$ft_version/bin"/*; do
        [ ! -f "$ft_each" ] || [ -x "$ft_each" ] || chmod u+x "$ft_each"
    done
}

# Earlier versions go, but for one that is at work, which may be a tree of which a task has not read all yet: it goes
# the next time somebody comes.
ft_sweep() {
    for ft_each in "$ft_agents"/* "$ft_agents/.old-$ft_id"; do
        case $ft_each in "$ft_agents/current" | "$ft_agents/$ft_version") continue ;; esac
        [ ! -e "$ft_each" ] || ft_used "$ft_each" || rm -rf "$ft_each"
    done
}

# A link to the agent's program where shells look for programs, when nothing is there but one to an earlier version.
ft_make_link() {
    [ -d "${HOME:-}" ] || return
    ft_at=$HOME/.local/bin/${ft_link##*/}
    if [ -L "$ft_at" ]; then
        case $(ls -l "$ft_at") in
        *"-> $ft_agents/"*) ln -s "$ft_agents/$ft_wanted/$ft_link" "$ft_at.$ft_id" && mv -f "$ft_at.$ft_id" "$ft_at" ;;
        esac
        return
    fi
    [ -e "$ft_at" ] && return
    for ft_top in "$HOME/.local" "$HOME/.local/bin"; do
        [ -d "$ft_top" ] && continue
        printf 'made %s\n' "$ft_top" >>"$ft_base/manifest" && mkdir "$ft_top" || return
    done
    printf 'link %s %s\n' "$ft_agent" "$ft_at" >>"$ft_base/manifest" && ln -s "$ft_agents/$ft_wanted/$ft_link" "$ft_at"
}
