# The other half of an rsync on the laptop, which says how it is to be called. It fills the folder of a version that
# deploy.sh has begun; after the first frame its channel is all rsync's.

main() {
    ft_begin
    ft_find_base
    cd "$ft_base/agents/$ft_agent/.new-$ft_id" || exit
    set --
    while [ $# -lt "$ft_words" ]; do
        eval "set -- \"\$@\" \"\$ft_word_$(($# + 1))\""
    done
    exec "$@" <&3 >&4 2>&5
}
