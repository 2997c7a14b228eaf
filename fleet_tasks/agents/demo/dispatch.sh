exec "$FLEET_AGENT_HOME/bin/fleet-demo" agent
