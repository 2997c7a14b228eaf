# Which picoclaw is installed, by its own word. What the login exports for a picoclaw of the user's own is not for
# ours, and with TZ set it prints more lines.
unset TZ PICOCLAW_CONFIG PICOCLAW_LOG_FILE PICOCLAW_AGENTS_DEFAULTS_MODEL_NAME PICOCLAW_AGENTS_DEFAULTS_PROVIDER
unset PICOCLAW_AGENTS_DEFAULTS_WORKSPACE
export NO_COLOR=1 TERM=dumb PICOCLAW_LOG_LEVEL=fatal

picoclaw=$FLEET_AGENT_HOME/bin/picoclaw

# Sets version, and number to compare it by (2009 for 0.2.9; a build without a version is as new as can be).
# Fails with said, what it printed instead.
find_version() {
    said=$("$picoclaw" version 2>&1 </dev/null)
    case $said in
    *"picoclaw v"[0-9]*) version=${said#*picoclaw v} ;;
    *"picoclaw "[0-9]*) version=${said#*picoclaw } ;;
    *"picoclaw dev"*) version=dev ;;
    *)
        said=${said##*"
"}
        return 1
        ;;
    esac
    version=${version%%[!0-9A-Za-z.+-]*}
    number=999999999
    major=${version%%.*}
    rest=${version#*.}
    minor=${rest%%.*}
    patch=${rest#*.}
    patch=${patch%%[!0-9]*}
    case $major.$minor.$patch in
    *[!0-9.]* | .* | *..* | *.) ;;
    *) number=$((major * 1000000 + minor * 1000 + patch)) ;;
    esac
    [ "$number" -ge 2001 ] && return
    said="picoclaw $version is too old: it takes its config from the user's own folder alone; 0.2.8 or later is best."
    return 1
}
