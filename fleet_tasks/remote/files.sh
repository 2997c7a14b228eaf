# Files across the channel. Towards the device: a frame "ready", then the laptop sends one tar archive (or,
# where there is no tar, files one by one), gets back digests, and says "commit" when they are right. From it:
# a frame "archive tar" and the archive, or a frame per file; then the digests.

# ft_digest FOLDER: one line for each file below, as sha256sum writes it, or a frame that says nothing can.
ft_digest() {
    if ft_has sha256sum; then
        ft_say digests sha256sum
        (cd "$1" && find . -type f -exec sha256sum {} + >&4)
    elif ft_has shasum; then
        ft_say digests sha256sum
        (cd "$1" && find . -type f -exec shasum -a 256 {} + >&4)
    elif ft_has openssl; then
        ft_say digests openssl
        (cd "$1" && find . -type f -exec openssl dgst -sha256 -r {} + >&4)
    else
        ft_say digests sizes
        # wc itself writes strange names in its own way.
        # shellcheck disable=SC2016 # the inner shell is to expand it
        (cd "$1" && find . -type f -exec sh -c 'for file; do printf "%s %s\n" "$(($(wc -c <"$file")))" "$file"; done' \
            sh {} + >&4)
    fi
}

# ft_take BYTES: exactly BYTES of what the laptop sends. head may read further than it says, which
# does no harm: the laptop sends nothing more before our next frame.
ft_take() {
    if ft_has head; then head -c "$1" <&3; else dd bs=1 count="$1" <&3; fi
}

# Whether there is a tar that stops where the archive does: those of BusyBox and Toybox read on until their input
# ends, which ours does not.
ft_has_tar() {
    ft_has tar || return
    case $(tar --help 2>&1) in *BusyBox* | *[Tt]oybox*) return 1 ;; esac
}

# ft_receive FOLDER: fills FOLDER with what the laptop sends.
ft_receive() {
    if [ -z "${ft_plain:-}" ] && ft_has_tar; then
        ft_say ready tar
        ft_said=$(cd "$1" && tar -xpf - <&3 2>&1)
        # Whatever else it complained of shows in the digests.
        case $ft_said in *[Nn]o\ space* | *[Qq]uota* | *Wrote\ only*) ft_refuse_files ;; esac
    else
        ft_say ready plain
        while read -r ft_kind ft_mode ft_size ft_length <&3; do
            [ "$ft_kind" = "done" ] && break
            ft_say next
            # The name travels as bytes of its own, with a full stop behind that keeps trailing newlines.
            ft_name=$(ft_take "$ft_length")
            ft_name=$1/${ft_name%.}
            ft_say name
            if [ "$ft_kind" = folder ]; then
                ft_said=$(mkdir -p -- "$ft_name" 2>&1)
            else
                ft_said=$(ft_take "$ft_size" 2>&1 >"$ft_name")
            fi || ft_refuse_files
            chmod "$ft_mode" "$ft_name"
            ft_say stored
        done
    fi
    ft_digest "$1"
    ft_say check
    read -r ft_word <&3
    [ "$ft_word" = commit ] || ft_fail transfer-failed "The laptop did not confirm the files."
}

ft_refuse_files() {
    case $ft_said in
    *[Nn]o\ space* | *[Qq]uota*) ft_fail no-space "$ft_said" ;;
    # GNU tar's words for a disk that becomes full in the middle of a file.
    *Wrote\ only*) ft_fail no-space "There is no space left: $ft_said" ;;
    *) ft_fail transfer-failed "$ft_said" ;;
    esac
}

# ft_place FROM TO: moves everything in FROM into the folder TO, each file in one step.
ft_place() {
    for ft_item in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        [ -e "$ft_item" ] || [ -L "$ft_item" ] || continue
        ft_target=$2/${ft_item##*/}
        if [ -d "$ft_item" ] && [ -d "$ft_target" ]; then
            (ft_place "$ft_item" "$ft_target") || return 1
        elif [ -d "$ft_target" ]; then
            ft_say fail transfer-failed "$ft_target is a folder there, and a file here."
            return 1
        else
            mv -f -- "$ft_item" "$ft_target" || return 1
        fi
    done
}

# ft_give: sends what the patterns in ft_fetches name (one a line, in a variable each: ft_fetch_1 ...),
# seen from the current folder.
ft_give() {
    ft_index=1
    while [ "$ft_index" -le "$ft_fetches" ]; do
        eval "ft_pattern=\$ft_fetch_$ft_index"
        ft_give_pattern
        ft_index=$((ft_index + 1))
    done
}

ft_give_pattern() {
    case $ft_pattern in
    '~/'*) ft_pattern=$HOME/${ft_pattern#'~/'} ;;
    /*) ;;
    *) ft_pattern=./$ft_pattern ;;
    esac
    if [ -e "$ft_pattern" ] || [ -L "$ft_pattern" ]; then
        set -- "$ft_pattern"
    else
        ft_ifs=$IFS
        IFS=
        # shellcheck disable=SC2086 # the pattern is to be expanded, and not to be split
        set -- $ft_pattern
        IFS=$ft_ifs
    fi
    for ft_found in "$@"; do
        if [ -e "$ft_found" ] || [ -L "$ft_found" ]; then ft_give_one "$ft_found"; else
            ft_say absent "$ft_index"
        fi
    done
}

# ft_give_one PATH: a file or a folder, as an archive whose names start with its own.
ft_give_one() {
    ft_base=${1%/}
    ft_above=${ft_base%/*}
    ft_base=${ft_base##*/}
    case $ft_base in .|..|'')
        ft_above=$1
        ft_base=.
        ;;
    esac
    # GNU tar reads a backslash in a name that it is given as the beginning of an escape.
    case $ft_base in *\\*) ft_way=plain ;; *) ft_way=${ft_plain:+plain} ;; esac
    if [ -z "$ft_way" ] && ft_has tar; then
        ft_say archive "$ft_index"
        (cd "${ft_above:-/}" && tar -cf - -- "./$ft_base" >&4)
        # Nobody wants digests when nobody is there any more.
        ft_say stored $? || return
    else
        (cd "${ft_above:-/}" && ft_give_plain "./$ft_base")
    fi
    if ft_has sha256sum; then
        ft_say digests sha256sum
        (cd "${ft_above:-/}" && find "./$ft_base" -type f -exec sha256sum {} + >&4)
        ft_say summed
    fi
}

# ft_look_up_mode PATH: sets ft_mode, from the letters that ls has for it.
ft_look_up_mode() {
    ft_letters=$(LC_ALL=C ls -ld "$1")
    ft_mode=0
    for ft_bit in 400 200 100 40 20 10 4 2 1; do
        ft_letters=${ft_letters#?}
        case $ft_letters in [rwxst]*) ft_mode=$((ft_mode + ft_bit)) ;; esac
    done
}

# Without tar: a frame with mode, size and the length of the name, then the name, then the bytes.
ft_give_plain() {
    if [ -L "$1" ]; then
        ft_say special "$ft_index" "$1"
    elif [ -f "$1" ]; then
        ft_look_up_mode "$1"
        ft_length=$(printf %s "$1" | wc -c)
        # Read once, so that the size is that of what is sent even while the file grows.
        ft_size=$(($(wc -c <"$1")))
        ft_say file "$ft_index" "$ft_mode" "$ft_size" "$((ft_length))"
        printf %s "$1" >&4
        if ft_has head; then head -c "$ft_size" "$1" >&4; else dd bs=1 count="$ft_size" <"$1" >&4; fi
    elif [ -d "$1" ]; then
        ft_look_up_mode "$1"
        ft_length=$(printf %s "$1" | wc -c)
        ft_say folder "$ft_index" "$ft_mode" 0 "$((ft_length))"
        printf %s "$1" >&4
        for ft_each in "$1"/* "$1"/.[!.]* "$1"/..?*; do
            if [ -e "$ft_each" ] || [ -L "$ft_each" ]; then (ft_give_plain "$ft_each"); fi
        done
    else
        ft_say special "$ft_index" "$1"
    fi
}
