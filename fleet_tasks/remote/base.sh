# Our folder on the device, once agents are in it: gone with the last of them.

# ft_used FOLDER: whether a run that goes on works with an agent in it.
ft_used() {
    for ft_place in "${TMPDIR:-/tmp}"/fleet-tasks-* "${HOME:-}"/.fleet-tasks-* "$ft_base"/fleet-tasks-*; do
        [ -O "$ft_place" ] && read -r ft_name <"$ft_place/uses" || continue
        case $ft_name in "$1" | "$1"/*) ft_goes_on "$ft_place" && return ;; esac
    done
    return 1
}

# With no agent there any more what we made goes: our folder, and those above it while they are empty. Fails when there
# is an agent, or when the folder is none of our making. What keeps the folder keeps its manifest, too.
ft_leave() {
    rmdir "$ft_base/agents"
    [ ! -d "$ft_base/agents" ] || return
    ft_kept=
    ft_made=
    ft_ours=
    while read -r ft_line; do
        case $ft_base/ in "${ft_line#made }"/*) ft_ours=1 ;; esac
        ft_kept="$ft_kept$ft_line
"
        ft_made="$ft_line
$ft_made"
    done <"$ft_base/manifest" || return
    rm -f "$ft_base/manifest"
    [ -z "$ft_ours" ] || rmdir "$ft_base" || {
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
    [ -n "$ft_ours" ]
}
