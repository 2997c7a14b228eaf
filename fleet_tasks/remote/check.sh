# Everything a dispatch may stumble over on this side: facts, clock, a place to write and execute, programs
# with their versions, modules, the agent itself, and the way to the model.

main() {
    ft_begin
    ft_facts
    ft_say fact clock "$(date +%s)"
    ft_check_place
    ft_index=1
    while [ "$ft_index" -le "$ft_needs" ]; do
        eval "ft_program=\$ft_program_$ft_index ft_module=\$ft_module_$ft_index"
        ft_check_program
        ft_index=$((ft_index + 1))
    done
    if [ -n "$ft_endpoint" ]; then ft_check_endpoint; fi
    if ft_find_agent; then
        if [ -n "$ft_script" ]; then ft_agent_says "$ft_script"; fi
    else
        ft_say missing
        [ -n "$ft_anyway" ] && ft_agent_says "$ft_script"
    fi
    ft_finish
}

# Writes and executes a file where the agent would be.
ft_check_place() {
    ft_place=${TMPDIR:-/tmp}
    [ -n "${HOME:-}" ] && ft_place=$HOME
    [ -n "$ft_home" ] && ft_place=$ft_where
    ft_file=$ft_place/.fleet-tasks-$ft_id
    # shellcheck disable=SC2016 # it is the file that prints
    if printf '#!/bin/sh\necho fine\n' >"$ft_file" && chmod 700 "$ft_file"; then
        ft_say fact place "$ft_place"
        [ "$("$ft_file")" = fine ] && ft_say fact executable yes
    fi
    rm -f "$ft_file"
}

ft_check_program() {
    ft_path=$(command -v "$ft_program") || {
        ft_say program "$ft_index" missing
        return
    }
    if [ -n "$ft_module" ]; then
        case $ft_program in
        perl) perl "-M$ft_module" -e 1 </dev/null ;;
        *) "$ft_program" -c "import $ft_module" </dev/null ;;
        esac || {
            ft_say program "$ft_index" module-missing
            return
        }
        ft_say program "$ft_index" found "$ft_path"
        return
    fi
    # Perl says nothing in the first line.
    ft_version=$("$ft_program" --version 2>&1 </dev/null | while read -r ft_line; do
        [ -n "$ft_line" ] && echo "$ft_line" && break
    done)
    ft_say program "$ft_index" found "$ft_path" "$ft_version"
}

# Any answer of the model's server will do; which one is not our business here.
ft_check_endpoint() {
    if ft_has curl; then
        ft_code=$(curl -sS -o /dev/null -w '%{http_code}' --max-time 8 "$ft_endpoint" 2>/dev/null)
    elif ft_has wget; then
        wget -q -O /dev/null -T 8 "$ft_endpoint"
        # 8 is GNU wget's word for an answer that says no.
        case $? in 0 | 8) ft_code=200 ;; *) ft_code=000 ;; esac
    elif ft_has python3; then
        ft_code=$(python3 -c 'import sys, urllib.request, urllib.error
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=8).status)
except urllib.error.HTTPError as error:
    print(error.code)
except Exception:
    print("000")' "$ft_endpoint")
    else
        ft_say endpoint unknown
        return
    fi
    case $ft_code in 000 | '') ft_say endpoint unreachable ;; *) ft_say endpoint reached "$ft_code" ;; esac
}
