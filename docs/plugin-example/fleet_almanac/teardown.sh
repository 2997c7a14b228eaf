# Removes what the agent left outside its own folder; that folder goes by itself.
exec sh "$FLEET_AGENT_HOME/bin/almanac" forget
