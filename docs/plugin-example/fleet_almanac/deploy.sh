# Runs where the payload has just arrived, before it is put in place. An exit status other than 0 refuses it.
said=$(sh "$FLEET_AGENT_HOME/bin/almanac" version 2>&1) && exit 0
echo "reason=$said"
exit 1
