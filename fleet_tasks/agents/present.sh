# Says whether a program is there, or could be brought there, which version, and, where the device's own login is to be
# used, whether there is one. Wants program, login (a command), kind, and means.sh. The version is asked for in a home of
# its own: many programs write into theirs at the first occasion.
if ! command -v "$program" >/dev/null 2>&1; then
    find_means && echo installed=no
    echo ready=no
    echo "reason=$reason"
    exit 0
fi
version=
if [ -n "${FLEET_AGENT_HOME:-}" ] && [ -f "$FLEET_AGENT_HOME/version" ]; then
    read -r version <"$FLEET_AGENT_HOME/version"
else
    aside=${TMPDIR:-/tmp}/fleet-tasks-version.$$
    if mkdir -m 700 "$aside"; then
        version=$(
            HOME=$aside TMPDIR=$aside
            export HOME TMPDIR
            unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME
            "$program" --version 2>/dev/null </dev/null | head -n 1
        )
        rm -rf "$aside"
    fi
fi
echo "version=$version"
if [ "${FLEET_PROVIDER:-}" = login ] && ! (eval "$login") >/dev/null 2>&1 </dev/null; then
    echo ready=no
    echo "reason=$program is not logged in"
    exit 0
fi
echo ready=yes
