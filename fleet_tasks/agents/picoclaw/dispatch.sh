# Gives the task to picoclaw. On standard input: the config without its version, a line for versions from 0.2.5 on,
# a line for earlier ones. It goes on by a pipe, so the key in it is in no file, no argument and no environment.

# Ways to end with a status that is none of picoclaw's own.
unfit() {
    echo "$1" >&2
    exit 78
}
no_room() {
    echo "There is no room for $1." >&2
    exit 73
}

# print TEXT: never as an argument of a program, which printf is in the ksh family.
print_it() {
    case $(command -v printf) in
    /*) print -rn -- "$1" ;;
    *) printf %s "$1" ;;
    esac
}

# Removes what was put into the task's folder for the agent's sake; a signal more must not stop it halfway.
tidy() {
    trap '' HUP INT TERM
    for each in $linked; do
        [ -L "$workspace/$each" ] && rm -f "$workspace/$each"
    done
    [ -n "$letter" ] && rm -f "$letter"
}

# A login may export anything under these names, and what is assigned to an exported name is exported.
unset newer older config

find_version || unfit "${said:-picoclaw prints nothing}"
IFS= read -r newer
IFS= read -r older
if [ "$number" -ge 2007 ]; then
    config="{\"version\": 3, ${newer#?}"
elif [ "$number" -ge 2005 ]; then
    config="{\"version\": 2, ${newer#?}"
elif [ "$number" -ge 2004 ]; then
    config="{\"version\": 1, ${older#?}"
else
    config=$older
    # Before 0.2.3 it asks Anthropic by its endpoint for OpenAI's protocol alone.
    if [ "$number" -lt 2003 ]; then
        case $config in
        *'"anthropic-messages/'*) config=${config%%'"anthropic-messages/'*}\"anthropic/${config#*'"anthropic-messages/'} ;;
        esac
    fi
fi
unset newer older

# A home of its own, which goes with the run; or one beside the installed versions, which goes with the last of them.
run=${FLEET_TASK_FILE%/*}
session=agent:main:fleet-$FLEET_TASK_ID
PICOCLAW_HOME=$run/picoclaw
if [ -n "${FLEET_PICOCLAW_MEMORY:-}" ]; then
    PICOCLAW_HOME=${FLEET_AGENT_HOME%/*}/.memory
    session=agent:main:fleet-memory
fi
TMPDIR=$run/tmp
export PICOCLAW_HOME TMPDIR
{ mkdir -p "$TMPDIR" "$PICOCLAW_HOME/workspace" && chmod 700 "$PICOCLAW_HOME"; } ||
    no_room "picoclaw's own files in $run"

# The agent works in the task's folder, and what it would keep there is kept in its home.
workspace=$PWD
linked=
letter=
if [ -w "$workspace" ]; then
    trap tidy EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    for each in sessions memory state; do
        if [ ! -e "$workspace/$each" ] && [ ! -L "$workspace/$each" ]; then
            mkdir -p "$PICOCLAW_HOME/workspace/$each"
            ln -s "$PICOCLAW_HOME/workspace/$each" "$workspace/$each" && linked="$linked $each"
        fi
    done
else
    workspace=$PICOCLAW_HOME/workspace
fi
escaped=$workspace
case $escaped in
*[\\\"]*) escaped=$(printf %s "$workspace" | sed 's/[\\"]/\\&/g') ;;
esac
config=${config%%@WORKSPACE@*}$escaped${config#*@WORKSPACE@}

# What begins like a command of the chat, or like a flag, would not reach the model.
if [ -n "${FLEET_TASK:-}" ]; then
    task=$FLEET_TASK
    spaces=${task%%[! 	
]*}
    case ${task#"$spaces"} in
    [/!-]*) task="Task: $task" ;;
    esac
else
    letter=$workspace/task-$FLEET_TASK_ID.md
    cp "$FLEET_TASK_FILE" "$letter" || no_room "the task in $workspace"
    task="Your task is in the file $letter. Read all of it, then do what it says."
fi

# Not every system has all of these. In the first two nothing can be written beside the config, by nobody.
for PICOCLAW_CONFIG in /dev/fd/0 /proc/self/fd/0 /dev/stdin; do
    [ -e "$PICOCLAW_CONFIG" ] && break
done
export PICOCLAW_CONFIG
print_it "$config" | "$picoclaw" agent -s "$session" -m "$task"
