# Says in key=value lines whether the agent can work.
echo "version=$(sh "$FLEET_AGENT_HOME/bin/almanac" version)"
if [ -w "$HOME" ]; then echo ready=yes; else
    echo ready=no
    echo "reason=$HOME cannot be written"
fi
