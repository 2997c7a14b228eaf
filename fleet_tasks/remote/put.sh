# Files for a folder of the user's: staged inside it, so that each appears in one step.

main() {
    ft_begin
    ft_expand "${ft_at:-~}"
    ft_target=$ft_path
    ft_make "$ft_target"
    ft_run=$ft_target/.fleet-tasks-$ft_id
    ft_said=$(mkdir -m 700 -- "$ft_run" 2>&1) || {
        ft_run=
        ft_refuse_place
    }
    ft_receive "$ft_run"
    ft_said=$(ft_place "$ft_run" "$ft_target" 2>&1) || ft_refuse_files
    ft_say placed
    ft_finish
    ft_drop
}
