# CLIO comes with each task unless it is told to stay, so it is ready where nothing is missing for it.
version=
[ -n "${FLEET_AGENT_HOME:-}" ] && read -r version <"$FLEET_AGENT_HOME/VERSION"
echo "version=$version"
if require; then
    [ -n "${FLEET_AGENT_HOME:-}" ] || echo installed=no
    echo ready=yes
else
    echo ready=no
    echo code=requirement-missing
    echo "reason=$reason"
fi
