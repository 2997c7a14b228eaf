# What a device has to install a package with. Wants kind (npm, pip, or empty where deploy does it in a way of its own)
# and program; sets means, or fails and sets reason.
find_means() {
    means=
    reason="$program is not installed"
    case $kind in
    npm)
        if command -v npm >/dev/null 2>&1; then means=npm; else reason="$reason, and there is no npm to do it."; fi
        ;;
    pip)
        if ! command -v python3 >/dev/null 2>&1; then
            reason="$reason, and there is no python3."
        elif command -v uv >/dev/null 2>&1; then
            means=uv
        elif python3 -m pip --version >/dev/null 2>&1 </dev/null; then
            means=pip
        else
            reason="$reason, and there is neither uv nor pip for python3."
        fi
        ;;
    *) means=own ;;
    esac
    [ -n "$means" ]
}

