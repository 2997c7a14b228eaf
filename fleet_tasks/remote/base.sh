# Our folder on the device: made for the first agent, and gone with the last.

# Makes ft_base, private, and notes in its manifest the topmost folder that was not there before.
ft_make_base() {
    [ -s "$ft_base/manifest" ] && return
    ft_top=$ft_base
    while [ "${ft_top%/*}" != "" ] && [ ! -d "${ft_top%/*}" ]; do ft_top=${ft_top%/*}; done
    [ -d "$ft_base" ] && ft_top=
    ft_said=$(mkdir -p -- "$ft_base" 2>&1) && {
        chmod 700 "$ft_base"
        ft_said=$({ printf 'made %s\n' "$ft_top" >"$ft_base/manifest"; } 2>&1) && return
    }
    # A full disk takes a file and not its line, of which a shell may say no more than "I/O error".
    [ -f "$ft_base/manifest" ] && ft_said="There is no space left in $ft_base."
    rm -f "$ft_base/manifest"
    [ -n "$ft_top" ] && ft_unmake "$ft_base" "$ft_top"
    ft_refuse_place
}

# ft_unmake FOLDER TOP: removes a folder and those above it, TOP the last, as long as they are empty or not there.
ft_unmake() {
    ft_each=$1
    while [ "${#ft_each}" -ge "${#2}" ]; do
        [ ! -d "$ft_each" ] || rmdir "$ft_each" || break
        ft_each=${ft_each%/*}
    done
}

# ft_used FOLDER: whether a run that goes on works with an agent in it.
ft_used() {
    for ft_place in "${TMPDIR:-/tmp}"/fleet-tasks-* "${HOME:-}"/.fleet-tasks-* "$ft_base"/fleet-tasks-*; do
        [ -O "$ft_place" ] && read -r ft_name <"$ft_place/uses" || continue
        case $ft_name in "$1" | "$1"/*) ft_goes_on "$ft_place" && return ;; esac
    done
    return 1
}

# With no agent there any more our folder goes, and the folders we made for it while they are empty; fails when there
# is an agent. What keeps the folder keeps its manifest, too.
ft_leave() {
    rmdir "$ft_base/agents"
    [ ! -d "$ft_base/agents" ] || return
    ft_kept=
    ft_made=
    while read -r ft_line; do
        ft_kept="$ft_kept$ft_line
"
        ft_made="$ft_line
$ft_made"
    done <"$ft_base/manifest" || return
    rm -f "$ft_base/manifest"
    rmdir "$ft_base" || {
        printf %s "$ft_kept" >"$ft_base/manifest"
        return 0
    }
    while read -r ft_kind ft_top; do
        [ "$ft_kind" = made ] && [ -n "$ft_top" ] || continue
        case $ft_base in
        "$ft_top" | "$ft_top"/*) ft_unmake "${ft_base%/*}" "$ft_top" ;;
        *) ft_unmake "$ft_top" "$ft_top" ;;
        esac
    done <<MADE
$ft_made
MADE
}
