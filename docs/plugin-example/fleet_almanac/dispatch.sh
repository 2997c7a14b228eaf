# Does the task. Standard output is the answer, the exit status says whether it went well.
exec sh "$FLEET_AGENT_HOME/bin/almanac" write "$FLEET_TASK_FILE"
