# Fit to be put in place when perl can run it from here.
if ! require; then
    echo code=requirement-missing
    echo "reason=$reason"
    exit 1
fi
said=$(CLIO_HOME=$FLEET_AGENT_HOME perl "$FLEET_AGENT_HOME/clio" --help 2>&1 </dev/null) && exit 0
echo code=wrong-binary
echo "reason=$(printf '%s\n' "$said" | grep . | head -n 1)"
exit 1
