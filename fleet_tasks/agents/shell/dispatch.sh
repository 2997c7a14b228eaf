# The task is the script.
exec sh "$FLEET_TASK_FILE"
