# Says whether a program is there, or could be brought there, which version, and, where the device's own login is to be
# used, whether there is one. Wants program, login (a command), kind, and means.sh. The version is asked for in a home of
# its own: many programs write into theirs at the first occasion, and some where temporary files go at every.
if ! command -v "$program" >/dev/null 2>&1; then
    find_means && echo installed=no
    echo ready=no
    echo "reason=$reason"
    exit 0
fi
version=
aside=${TMPDIR:-/tmp}/fleet-tasks-version.$$
if mkdir -m 700 "$aside"; then export TMPDIR="$aside"; else aside=; fi
if [ -n "${FLEET_AGENT_HOME:-}" ] && [ -f "$FLEET_AGENT_HOME/version" ]; then
    read -r version <"$FLEET_AGENT_HOME/version"
elif [ -n "$aside" ]; then
    version=$(
        export HOME="$aside"
        unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME
        "$program" --version 2>/dev/null </dev/null | head -n 1
    )
fi
echo "version=$version"
if [ "${FLEET_PROVIDER:-}" = login ] && ! (eval "$login") >/dev/null 2>&1 </dev/null; then
    echo ready=no
    echo "reason=$program is not logged in"
    echo "guidance=Log in there once: ssh -t -p {port} {login} $program"
else
    echo ready=yes
fi
[ -z "$aside" ] || rm -rf "$aside"
