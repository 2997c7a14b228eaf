# CLIO comes with each task unless it is told to stay, so it is ready where nothing is missing for it.
version=
[ -n "${FLEET_AGENT_HOME:-}" ] && read -r version <"$FLEET_AGENT_HOME/VERSION"
echo "version=$version"
[ -n "${FLEET_AGENT_HOME:-}" ] || echo installed=no
if require; then echo ready=yes; else
    echo ready=no
    echo "reason=$reason"
fi
