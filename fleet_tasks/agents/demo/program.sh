#!/bin/sh
# The demo agent: stands in for a real one, from its banner to its answer.

case ${1:-} in
version) echo 1.0 ;;
agent)
    printf '== demo agent, no model is called ==\n'
    printf 'demo> I was asked: %s\n' "$(cat "$FLEET_TASK_FILE")"
    printf 'This is %s, a %s on %s' "$FLEET_DEVICE" "$(uname -s)" "$(uname -m)"
    printf ' with %s MB free.\n' "$(($(df -Pk . | { read -r _ && read -r _ _ _ free _ && echo "$free"; }) / 1024))"
    printf 'No model was called.\n'
    printf 'device: %s\nsystem: %s\n' "$FLEET_DEVICE" "$(uname -sm)" >report.md
    ;;
*)
    echo "usage: fleet-demo version | agent" >&2
    exit 2
    ;;
esac
