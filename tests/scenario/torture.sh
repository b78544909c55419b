#!/bin/sh
# The torture tree (rows M-00 to M-18): backed up and restored on ext4, xfs, btrfs, tmpfs and overlay, as root and as an ordinary user; compared by
# find, getfattr, getfacl, lsattr and sha256sum. Prints TAP. BKD_TORTURE=full: 10,000 levels, 65,000 links, 16 TiB, files beyond 2 GiB.
free_memory=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')
if [ -z "${TMPDIR:-}" ] && [ "${free_memory:-0}" -gt 4000000 ] && [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi # file systems in files: no disk waits
# shellcheck source=tests/scenario/lib.sh
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)/torture
scale=${BKD_TORTURE:-quick}
tool=$tree/tool
not_held=$tree/not-held
mounts=
. "$here/make.sh"
. "$here/inventory.sh"

undo_mounts() {
    for at in $mounts; do umount -l "$at" 2>/dev/null; done
    mounts=
}
trap 'undo_mounts; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT
command -v cc >/dev/null || { echo '1..0 # SKIP no C compiler for the tool that makes what a shell cannot'; exit 77; }
cc -O1 -Wall -Wextra -Werror -o "$tool" "$here/tool.c" || exit 1

# mount_at DIR ARGUMENT…
mount_at() {
    at=$1
    shift
    mkdir -p "$at"
    mount "$@" "$at" 2>"$tree/mount.err" && mounts="$at $mounts"
}
# loop_at DIR TYPE SIZE MKFS…: a file system in a file.
loop_at() {
    at=$1 type=$2 image=$tree/$2-${1##*/}.img
    truncate -s "$3" "$image"
    shift 3
    command -v "$1" >/dev/null || { echo "no $1" >"$tree/mount.err"; return 1; }
    "$@" "$image" >"$tree/mount.err" 2>&1 && mount_at "$at" -o loop -t "$type" "$image"
}
room=3G
[ "${BKD_TORTURE:-}" != full ] || room=20G
mount_fs() { # TYPE DIR
    case $1 in
    ext4) loop_at "$2" ext4 "$room" mkfs.ext4 -q -O ea_inode ;;
    xfs) loop_at "$2" xfs "$room" mkfs.xfs -q ;;
    btrfs) loop_at "$2" btrfs "$room" mkfs.btrfs -q ;;
    vfat) loop_at "$2" vfat 300M mkfs.vfat ;;
    tmpfs) mount_at "$2" -t tmpfs -o size=$room,nr_inodes=1m tmpfs ;;
    overlay)
        loop_at "$tree/layers" ext4 "$room" mkfs.ext4 -q -O ea_inode &&
            mkdir "$tree/layers/lower" "$tree/layers/upper" "$tree/layers/work" &&
            mount_at "$2" -t overlay -o "lowerdir=$tree/layers/lower,upperdir=$tree/layers/upper,workdir=$tree/layers/work" overlay ;;
    esac
}

# same TITLE A B: the two inventories agree.
same() {
    if diff -a "$2" "$3" >"$tree/out" 2>&1; then ok "$1"; else
        wc -l <"$tree/out" | sed 's/^/# lines of difference: /'
        head -n 30 "$tree/out" | cut -c1-150 | cat -v >"$tree/cut"
        mv "$tree/cut" "$tree/out"
        bad "$1"
    fi
}
atimes() { find "$1" -path "$1/deep" -prune -o -type f -printf '%A@ %P\n'; }

# space_fits SOURCE RESTORED: holes take no space, reserved space is reserved again (M-10).
space_fits() {
    : >"$tree/out"
    for file in "$1"/sparse/*; do
        now=$(stat -c %b "$2/sparse/${file##*/}") then=$(stat -c %b "$file")
        [ "${file##*/}" != beyond-the-end ] || continue # space reserved behind the end of a file is not kept
        [ "$now" -le $((then + 512)) ] && [ "$now" -ge $((then - 512)) ] || echo "$file: $now blocks, not $then" >>"$tree/out"
    done
    if [ -s "$tree/out" ]; then bad "$3"; else ok "$3"; fi
}

# round WHERE SOURCE TARGET: there and back.
round() {
    host "$1" none "" >/dev/null
    sed -i "s|path: .*|path: $2|" "$config/policies/p.yaml"
    inventory "$2" >"$tree/before" 2>"$tree/inventory.err"
    atimes "$2" >"$tree/atimes"
    is 0 "$1: init" run_bkd init p
    is 0 "$1: backup, nothing left out" backup
    atimes "$2" | diff "$tree/atimes" - >"$tree/out" && ok "$1: access times are as they were" || bad "$1: access times are as they were"
    is 0 "$1: restore, nothing left out" recover restore latest --target "$3"
    inventory "$3$2" >"$tree/after" 2>>"$tree/inventory.err"
    same "$1: no difference" "$tree/before" "$tree/after"
    [ -s "$tree/before" ] || bad "$1: there was something to compare"
    space_fits "$2" "$3$2" "$1: as many blocks as before"
}

# by_hand WHERE SOURCE TARGET: with stock tools alone; they take no paths beyond PATH_MAX, and say so (M-18, S-35).
by_hand() {
    BKD_SIGNERS=$config/keys/allowed_signers is 3 "$1: recover.sh" sh "$repo/recover.sh" "$repo" none latest "$3"
    says "$1: it left out paths that are too long" '^paths longer than these tools take'
    says "$1: and the socket" '^sockets are not restored'
    says_not "$1: and nothing else" '^(inode flags|extended|its content|refused|a device)'
    inventory "$3$2" >"$tree/after" 2>>"$tree/inventory.err"
    for list in before after; do grep -a -v -e '^deep/' -e '  \./file$' "$tree/$list" >"$tree/$list.short"; done
    same "$1: no difference" "$tree/before.short" "$tree/after.short"
}

# The other half runs as somebody else: sh torture.sh --as-user WHERE DIR SCALE
if [ "${1:-}" = --as-user ]; then
    mkdir "$3/source" "$3/out"
    torture_make "$3/source" "$4"
    round "$2" "$3/source" "$3/out/new"
    finish
fi

if [ "$(id -u)" != 0 ]; then
    ok "as root, on other file systems # SKIP needs root"
    mkdir "$tree/fs"
    sh "$0" --as-user "ordinary user" "$tree/fs" "$scale" >"$tree/user.tap"
    grep -a -v '^1\.\.' "$tree/user.tap"
    exit
fi

chmod 755 "$tree"
user_scale=$scale
for fs in ${BKD_TORTURE_FS:-ext4 xfs btrfs tmpfs overlay}; do
    fs_dir=$tree/$fs-fs
    if ! mount_fs "$fs" "$fs_dir"; then
        ok "$fs # SKIP cannot be mounted here: $(tail -n 1 "$tree/mount.err")"
        continue
    fi
    mkdir -p "$fs_dir/source" "$fs_dir/user"
    torture_make "$fs_dir/source" "$scale"
    sort "$not_held" | uniq | sed "s/^/# $fs does not hold: /"
    round "$fs" "$fs_dir/source" "$fs_dir/out"
    if [ "$fs" = ext4 ]; then
        by_hand "$fs, by hand" "$fs_dir/source" "$fs_dir/hand"
        round "$fs, what was restored" "$fs_dir/out$fs_dir/source" "$fs_dir/again"
    fi
    chown 12345:12345 "$fs_dir/user"
    setpriv --reuid 12345 --regid 12345 --clear-groups sh "$0" --as-user "$fs, ordinary user" "$fs_dir/user" "$user_scale" >"$tree/user.tap" 2>&1
    while read -r line; do
        case $line in
        'ok '*) ok "${line#* - }" ;;
        'not ok '*) bad "${line#* - }" ;;
        '#'*) echo "$line" ;;
        esac
    done <"$tree/user.tap"
    [ "$scale" = full ] || user_scale=small
    undo_mounts
    rm -rf "$tree/$fs" "$tree"/*.img
done
finish
