# Files from a folder of the user's.

main() {
    ft_begin
    ft_expand "${ft_at:-~}"
    cd "$ft_path" || case $ft_path in
    */fleet-tasks-*/work) ft_fail transfer-failed "The run's folder is gone: it goes when the run has ended and was followed." ;;
    *) ft_fail transfer-failed "There is no folder $ft_path." ;;
    esac
    ft_give
    ft_finish given
}
