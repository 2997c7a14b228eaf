# Fit to be put in place when it runs from here.
if said=$("$FLEET_AGENT_HOME/bin/fleet-demo" version 2>&1); then exit 0; fi
case $said in
*[Pp]ermission*) echo code=not-executable ;;
*) echo code=wrong-binary ;;
esac
echo "reason=$said"
exit 1
