# Files from a folder of the user's.

main() {
    ft_begin
    ft_expand "${ft_at:-~}"
    cd "$ft_path" || ft_fail home-missing "There is no folder $ft_path."
    ft_give
    ft_finish given
}
