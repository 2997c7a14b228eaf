# How many cores there are, and how much they have to do.

ft_cores() {
    if ft_has getconf && getconf _NPROCESSORS_ONLN; then return; fi
    if ft_has nproc && nproc; then return; fi
    ft_count=0
    while read -r ft_line; do
        case $ft_line in processor*) ft_count=$((ft_count + 1)) ;; esac
    done </proc/cpuinfo
    echo "$ft_count"
}

ft_load() {
    if read -r ft_line _ </proc/loadavg; then echo "$ft_line"; else
        ft_line=$(uptime)
        ft_line=${ft_line##*average*: }
        ft_line=${ft_line%% *}
        echo "${ft_line%,}"
    fi
}
