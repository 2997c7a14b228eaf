# What a device is, found with whatever it has: /proc where there is one, else what BSD and macOS offer.
# Nothing here may be missing for the rest to work.

ft_facts() {
    ft_say fact os "$(uname -s)"
    ft_say fact arch "$(ft_machine)"
    ft_say fact cores "$(ft_cores)"
    ft_say fact load "$(ft_load)"
    ft_say fact memory_kb "$(ft_memory)"
    if [ -n "${HOME:-}" ] && [ -d "$HOME" ]; then
        ft_say fact home "$HOME"
        if [ -w "$HOME" ]; then ft_say fact writable yes; else ft_say fact writable no; fi
    fi
    ft_where=${HOME:-/}
    if [ -n "$ft_home" ]; then
        ft_find_base
        ft_where=$ft_base
    fi
    while [ ! -d "$ft_where" ] && [ -n "$ft_where" ]; do ft_where=${ft_where%/*}; done
    ft_say fact disk_kb "$(ft_disk "${ft_where:-/}")"
}

# The machine in uname's words. MIPS has one word for both orders of bytes; the head of any program tells which.
ft_machine() {
    ft_arch=$(uname -m)
    case $ft_arch in mips | mips64)
        if [ "$(dd if=/bin/sh bs=1 skip=5 count=1 2>/dev/null)" = "$(printf '\001')" ]; then ft_arch=${ft_arch}el; fi
        ;;
    esac
    echo "$ft_arch"
}

# Memory that is free for work, in kB.
ft_memory() {
    ft_free=
    while read -r ft_key ft_value _; do
        case $ft_key in
        MemAvailable:)
            echo "$ft_value"
            return
            ;;
        MemFree:) ft_free=$ft_value ;;
        esac
    done </proc/meminfo
    if [ -n "$ft_free" ]; then echo "$ft_free"; else echo $(($(sysctl -n hw.memsize) / 1024)); fi
}

# Free space below a folder, in kB. A long device name may push the numbers to a line of their own without -P.
ft_disk() {
    df -Pk "$1" | {
        read -r _
        read -r _ _ _ ft_value _
        echo "$ft_value"
    }
}

# ft_agent_says SCRIPT: runs one of the agent's scripts, supervised; its output is between two frames.
ft_agent_says() {
    ft_workdir=${ft_workdir:-/}
    ft_say says
    ft_start sh -c "$1"
    ft_await
    ft_say said "$ft_status" "${ft_why:-ended}" "$ft_timeout"
}

# What an agent's script may see: where the agent lives.
ft_environment() {
    export FLEET_AGENT_HOME="${ft_agent_home:-}"
    ft_exports
}

# Sets ft_agent_home to the folder of the installed version; fails when there is none.
ft_find_agent() {
    ft_agent_home=
    [ -n "$ft_agent" ] || return 0
    [ -n "${HOME:-}$ft_home" ] || return 1
    ft_find_base
    read -r ft_version <"$ft_base/agents/$ft_agent/current" || return 1
    ft_agent_home=$ft_base/agents/$ft_agent/$ft_version
}
