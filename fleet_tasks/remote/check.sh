# Everything a dispatch may stumble over on this side: clock, places to write and execute in, programs
# with their versions, modules, the agent itself, and the way to the model.

main() {
    ft_begin
    ft_say fact clock "$(date +%s)"
    ft_check_places
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

# Tries the folders that a dispatch would write in: the run's, which ft_open_run makes in the first place that lets it,
# and the one of an agent that is installed. With a home setting both are in that.
ft_check_places() {
    if [ -n "$ft_home" ]; then
        ft_find_base
        ft_find_nearest "$ft_base"
        ft_try_place run "$ft_place" "$ft_place"
        return
    fi
    ft_name=fleet-tasks-$ft_id
    ft_try_run "${TMPDIR:-/tmp}/$ft_name" || ft_try_run "${HOME:-/nonexistent}/.$ft_name"
    ft_place=${ft_run:-${TMPDIR:-/tmp}/}
    ft_try_place run "${ft_run:-/nonexistent}" "${ft_place%/*}"
    [ -n "$ft_run" ] && rm -rf "$ft_run" && ft_run=
    if [ -n "$ft_agent" ]; then
        ft_find_base
        ft_find_nearest "$ft_base/agents/$ft_agent"
        ft_try_place agent "$ft_place" "$ft_place"
    fi
}

# Sets ft_place to the folder itself, or to the nearest above it that is there.
ft_find_nearest() {
    ft_place=$1
    while [ ! -d "$ft_place" ] && [ -n "$ft_place" ]; do ft_place=${ft_place%/*}; done
    ft_place=${ft_place:-/}
}

# ft_try_place WHAT FOLDER PLACE: writes and executes a file in the folder, and says what one may in its place.
ft_try_place() {
    ft_file=$2/.fleet-tasks-$ft_id
    ft_may='nothing'
    if printf '#!/bin/sh\necho fine\n' >"$ft_file" && chmod 700 "$ft_file"; then
        ft_may='write'
        [ "$("$ft_file")" = fine ] && ft_may='execute'
    fi
    rm -f "$ft_file"
    ft_say place "$1" "$ft_may" "$(ft_disk "$3")" "$3"
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
