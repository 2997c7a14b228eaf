#!/bin/sh
# Makes sure of the programs that the tests start: an OpenSSH server and client, rsync, and the login shells of devices.
# Installs what is missing where that is allowed; otherwise says what to install, and fails.
# Names of packages hold no blanks: lists of them are meant to be split.
# shellcheck disable=SC2086
set -u

PATH=$PATH:${NEEDS_ALSO_IN-/usr/local/sbin:/usr/sbin:/sbin}

# The packages whose program is not there, by the names that Debian gives them.
missing() {
    command -v sshd >/dev/null || echo openssh-server
    command -v ssh-keygen >/dev/null && command -v sftp >/dev/null || echo openssh-client
    for name in bash dash fish rsync tcsh zsh; do
        command -v "$name" >/dev/null || echo "$name"
    done
    # There is no busybox for macOS.
    test "$(uname)" = Darwin || command -v busybox >/dev/null || echo busybox
}

as_root() {
    if test "$(id -u)" -eq 0; then "$@"; else sudo -n "$@"; fi
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@"
}

install_with_apt() {
    # The server is to be started by hand: it must not listen to the network from now on.
    if test ! -e /usr/sbin/policy-rc.d; then
        trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
        as_root chmod 755 /usr/sbin/policy-rc.d
    fi
    apt install -y --no-install-recommends "$@" || { apt update && apt install -y --no-install-recommends "$@"; }
    case " $* " in
    *" openssh-server "*) test ! -d /run/systemd/system || as_root systemctl disable --quiet ssh.service ssh.socket ;;
    esac
}

wanted=$(missing)
test -n "$wanted" || exit 0

if test "$(uname)" = Darwin && command -v brew >/dev/null; then
    brew install --quiet $wanted >&2
elif command -v apt-get >/dev/null && as_root true 2>/dev/null; then
    install_with_apt $wanted >&2
fi

wanted=$(missing)
test -n "$wanted" || exit 0
echo "The tests need programs that are not here; install these packages, then try again:" $wanted >&2
exit 1
