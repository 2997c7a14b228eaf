if version=$("$FLEET_AGENT_HOME/bin/fleet-demo" version 2>&1); then
    echo "version=$version"
    echo ready=yes
else
    echo ready=no
    echo "reason=$version"
fi
