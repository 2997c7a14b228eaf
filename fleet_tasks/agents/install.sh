# Installs a program from npm or PyPI into the agent's own folder, with what the device has, and looks whether it
# really is what was asked for: npm takes an older version without a word where the newest does not suit its node.
# Wants kind (npm or pip), package, version (may be empty), program, and means.sh. Leaves bin/PROGRAM and a file
# version; nothing at all where the device has the program already.

refuse() {
    echo "code=$1"
    echo "reason=$2"
    exit 1
}

# Whether the disk takes a line more.
takes_a_line() { (echo >"$line") 2>/dev/null; }

no_room() { refuse no-space "there is no space left in $place"; }

# give_up CODE WHY: refuses with that, unless the disk is full, which has another way out. That shows in $said, what was
# said by the program that came upon it, or in that there is no room for a line more.
give_up() {
    case $said in *[Nn]o\ space\ left* | *[Dd]is[ck]\ quota*) no_room ;; esac
    takes_a_line || no_room
    refuse "$1" "$2"
}

# The version that a program tells, asked for in a home that goes away again; what else it says is in .said.
version_of() {
    mkdir -p "$FLEET_AGENT_HOME/.aside"
    (
        HOME=$FLEET_AGENT_HOME/.aside TMPDIR=$FLEET_AGENT_HOME/.aside
        export HOME TMPDIR
        unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME
        "$1" --version 2>"$FLEET_AGENT_HOME/.said" </dev/null
    ) | head -n 1
    rm -rf "$FLEET_AGENT_HOME/.aside"
}

# Whether the words $1 hold the version that is wanted, and not only the beginning of a longer one.
suits() {
    case $1 in *[0-9]*) ;; *) return 1 ;; esac
    [ -n "$version" ] || return 0
    case " $1 " in *[!0-9.]"$version"[!0-9.]*) return 0 ;; *) return 1 ;; esac
}

if there=$(command -v "$program"); then
    found=$(version_of "$there")
    rm -f "$FLEET_AGENT_HOME/.said"
    if suits "$found"; then
        echo "there=$there"
        exit 0
    fi
fi

find_means || refuse requirement-missing "$reason"

# Nothing is fetched to where there is no room, or where it could not be run. An empty line is a script that names nobody
# to run it, so the only one to object is the system.
place=${FLEET_AGENT_HOME%/*}
line=$FLEET_AGENT_HOME/.line
takes_a_line || no_room
chmod 700 "$line"
said=$("$line" 2>&1) || refuse not-executable "$program may not be executed in $place: ${said##*: }"
rm -f "$line"

# What an installer puts aside is where home: says, too, and goes with the rest.
aside=$FLEET_AGENT_HOME/.cache
mkdir -p "$aside"
case $means in
npm)
    # What packages do when they are installed may write into these.
    export XDG_CACHE_HOME="$aside" XDG_CONFIG_HOME="$aside" XDG_DATA_HOME="$aside" XDG_STATE_HOME="$aside"
    # That a disk is full may be in its warnings alone, which say nothing else of use.
    said=$(TMPDIR=$aside npm install --prefix "$FLEET_AGENT_HOME" --cache "$aside" --no-fund --no-audit \
        --no-update-notifier --loglevel warn "$package${version:+@$version}" 2>&1 </dev/null) ||
        give_up agent-unready "npm could not install $package: $(
            printf '%s\n' "$said" | grep -v -e '^ *$' -e '^npm [Ww]' \
                -e '^npm [A-Za-z!]* \(code\|syscall\|errno\) ' | head -n 1
        )"
    at=../node_modules/.bin/$program
    mkdir -p "$FLEET_AGENT_HOME/bin"
    ln -s "$at" "$FLEET_AGENT_HOME/bin/$program"
    ;;
uv | pip)
    into=$FLEET_AGENT_HOME/lib
    if [ "$means" = uv ]; then
        said=$(TMPDIR=$aside uv pip install --quiet --no-cache --python python3 --target "$into" \
            "$package${version:+==$version}" 2>&1 </dev/null)
    else
        said=$(TMPDIR=$aside python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-input \
            --target "$into" "$package${version:+==$version}" 2>&1 </dev/null)
    fi || give_up agent-unready "$means could not install $package: $(
        # The last cause, and not the hint that may follow.
        printf '%s\n' "$said" | sed -e '/^ *$/d' -e '/^hint:/d' -e 's/^ *//' | tail -n 1
    )"
    mkdir -p "$FLEET_AGENT_HOME/bin"
    cat >"$FLEET_AGENT_HOME/bin/$program" <<'LAUNCHER' || no_room
#!/bin/sh
# Python is told where the agent's packages are without a variable, which the programs it starts would inherit.
home=${0%/bin/*}
exec python3 -c 'import runpy, sys
home, program = sys.argv[1:3]
sys.path.insert(0, home + "/lib")
sys.argv[:3] = []
sys.argv.insert(0, home + "/lib/bin/" + program)
runpy.run_path(sys.argv[0], run_name="__main__")' "$home" "${0##*/}" "$@"
LAUNCHER
    chmod 755 "$FLEET_AGENT_HOME/bin/$program"
    ;;
esac

rm -rf "$aside"
found=$(version_of "$FLEET_AGENT_HOME/bin/$program")
suits "$found" || {
    # Python and node print where it happened before what happened.
    [ -n "$found" ] || found=$(grep '^[A-Za-z_.]*\(Error\|Exception\): ' "$FLEET_AGENT_HOME/.said" | tail -n 1)
    [ -n "$found" ] || found=$(grep . "$FLEET_AGENT_HOME/.said" | head -n 1)
    said=$found
    give_up wrong-binary "$package was installed, and $program says: ${found:-nothing} (wanted: ${version:-any})"
}
rm -f "$FLEET_AGENT_HOME/.said"
printf '%s\n' "$found" >"$FLEET_AGENT_HOME/version" || no_room
