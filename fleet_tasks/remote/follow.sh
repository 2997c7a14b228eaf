# Reads on in a detached run, as far as the laptop has not read yet. The laptop asks each time, so that this ends
# when it does; it waits for our first word, as a shell may swallow what comes right behind the script.

main() {
    ft_begin
    ft_say asked
    while read -r ft_word ft_out ft_err <&3; do
        case $ft_word in
        more) ft_more ;;
        give) cd "$ft_workdir" && ft_give ;;
        *) break ;;
        esac
        ft_say asked
    done
    ft_finish
}

# Whether the run has ended is looked at first, so that nothing written before its end is missed.
ft_more() {
    ft_find_boot
    [ -d "$ft_run" ] || {
        ft_say gone "$ft_boot"
        return
    }
    ft_ended=
    read -r ft_ended <"$ft_run/exit"
    ft_alive=
    ft_goes_on "$ft_run" && ft_alive=1
    ft_full=
    ft_chunk out "$ft_out"
    ft_chunk err "$ft_err"
    [ -n "$ft_full" ] && return
    if [ -n "$ft_ended" ]; then
        read -r ft_took <"$ft_run/took" && ft_say took "$ft_took"
        ft_say boot "$ft_boot"
        ft_say exit "$ft_ended"
    elif [ -z "$ft_alive" ] && [ ! -f "$ft_run/exit" ]; then
        ft_say gone "$ft_boot"
    fi
}

# ft_chunk NAME FROM: what is behind byte FROM of a stream, at most a few megabytes at a time.
ft_chunk() {
    ft_size=$(($(wc -c <"$ft_run/$1")))
    ft_count=$((ft_size - $2))
    [ "$ft_count" -gt 0 ] || return
    if [ "$ft_count" -gt 4000000 ]; then
        ft_count=4000000
        ft_full=1
    fi
    ft_say chunk "$1" "$ft_count"
    if ft_has head; then tail -c "+$(($2 + 1))" "$ft_run/$1" | head -c "$ft_count" >&4; else
        dd if="$ft_run/$1" bs=1 skip="$2" count="$ft_count" >&4
    fi
}
