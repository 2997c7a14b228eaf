if version=$("$FLEET_AGENT_HOME/bin/fleet-demo" version 2>&1); then
    echo "version=$version"
    echo ready=yes
else
    echo ready=no
    case $version in *[Pp]ermission*) echo code=not-executable ;; esac
    echo "reason=$version"
fi
