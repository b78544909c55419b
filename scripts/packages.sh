# shellcheck shell=sh disable=SC2034
# Sourced by scripts/test and scripts/quickstart: which Debian packages are needed, and how missing ones are installed.

BUILD_PACKAGES="autoconf automake gcc libc6-dev make pkg-config
    libarchive-dev libcap-ng-dev libcurl4-openssl-dev libjansson-dev libmicrohttpd-dev libqrencode-dev librsync-dev libseccomp-dev libsodium-dev
    libsqlite3-dev libssh2-1-dev libssl-dev libsystemd-dev libyaml-dev libzstd-dev"
# The tools that tests compare with, and that restores by hand use.
TEST_PACKAGES="acl age attr btrfs-progs curl dosfstools dropbear-bin e2fsprogs exfat-fuse exfatprogs faketime git jq
    libarchive-tools libcap2-bin libcmocka-dev openssh-client openssh-server openssh-sftp-server openssl
    postgresql procps proftpd-core proftpd-mod-crypto python3 python3-aiosmtpd rclone rdiff rsync sqlite3 systemd time tzdata uidmap
    xfsprogs xz-utils zbar-tools zlib1g-dev zstd"

# need_packages PACKAGE…: installs what is missing; asks apt for nothing when everything is there.
need_packages() {
    missing=
    for package in "$@"; do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
        *" installed") ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    echo "installing:$missing"
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "root or sudo is needed to install:$missing" >&2; return 1; }
        as_root=sudo
    fi
    messages=$(mktemp)
    # The lists are words.
    # shellcheck disable=SC2086
    if $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update >"$messages" 2>&1 &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $missing >>"$messages" 2>&1; then
        rm -f "$messages"
    else
        tail -n 20 "$messages" >&2
        rm -f "$messages"
        return 1
    fi
}

# need_configure DIR: makes DIR/configure when it is missing or older than what it is made from.
need_configure() {
    if [ ! -e "$1/configure" ] || [ ! -e "$1/Makefile.in" ] ||
        [ -n "$(find "$1/configure.ac" "$1/Makefile.am" "$1/m4" -newer "$1/Makefile.in" -type f)" ]; then
        (cd "$1" && autoreconf -fi 2>&1 | grep -v 'installing' || true)
    fi
    [ -e "$1/configure" ]
}
