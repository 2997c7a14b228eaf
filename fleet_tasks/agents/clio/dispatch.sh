# Standard input is a line of settings for FleetTasks.pm, which takes the task from its file, too.

# Whatever CLIO keeps for itself goes with the run.
FLEET_STATE=${FLEET_TASK_FILE%/*}/clio
mkdir -m 700 "$FLEET_STATE" || exit 78
CLIO_HOME=$FLEET_STATE TMPDIR=$FLEET_STATE CLIO_LOG_LEVEL=${CLIO_LOG_LEVEL:-ERROR} NO_COLOR=1
export FLEET_STATE CLIO_HOME TMPDIR CLIO_LOG_LEVEL NO_COLOR

# Sessions and logs are kept in .clio of the folder it works in. A .clio that is ours alone goes with the last of us.
ours=.clio/.fleet-tasks
leave() {
    rm -f "$ours/$$"
    rmdir "$ours" 2>/dev/null && rm -rf .clio
}
mkdir -m 700 .clio 2>/dev/null && mkdir "$ours"
if [ -d "$ours" ] && : >"$ours/$$"; then
    trap leave EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
fi
perl -I "$FLEET_AGENT_HOME/lib" -I "$FLEET_AGENT_HOME/fleet" -MFleetTasks "$FLEET_AGENT_HOME/clio" \
    --new --no-color --exit
