#!/bin/sh
# Rows of the fidelity matrix that take more than there and back: parts of a snapshot, other file systems, other hosts, changes that hide, files that
# change while they are read. The tree of all types is in torture.sh. Prints TAP.
# shellcheck source=tests/scenario/lib.sh
. "$(dirname "$0")/lib.sh"
mounts=
trap 'for at in $mounts; do umount -l "$at" 2>/dev/null; done; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT
is_root() { [ "$(id -u)" = 0 ]; }
# A file system in a file: loop_at DIR SIZE MKFS…; false where that cannot be.
loop_at() {
    at=$1 image=$1.img
    mkdir "$at"
    truncate -s "$2" "$image"
    shift 2
    is_root && "$@" "$image" >/dev/null 2>&1 && mount -o loop "$image" "$at" 2>/dev/null && mounts="$at $mounts"
}
inode() { stat -c %i "$1"; }
linked() { [ "$(inode "$2")" = "$(inode "$3")" ] && ok "$1" || bad "$1"; }
apart() { [ "$(inode "$2")" != "$(inode "$3")" ] && ok "$1" || bad "$1"; }
# shows TITLE FORMAT FILE EXPECTED, by stat
shows() { found=$(stat -c "$2" "$3" 2>&1); [ "$found" = "$4" ] && ok "$1" || { echo "$found instead of $4" >"$tree/out"; bad "$1"; }; }
again() { chmod -R u+rwx "$tree/restored" 2>/dev/null; rm -rf "$tree/restored"; }

# ---- M-09 hard links, M-12 directories, of parts
host links none 'exclude: ["/left-out"]'
mkdir -p "$source/a/sub" "$source/b" "$source/left-out"
echo one >"$source/a/one" && ln "$source/a/one" "$source/b/one" && ln "$source/a/one" "$source/left-out/one"
echo one >"$source/a/other" && ln "$source/a/other" "$source/b/other"
echo x >"$source/a/alone" && ln "$source/a/alone" "$source/left-out/alone"
mkfifo "$source/a/fifo" && ln "$source/a/fifo" "$source/b/fifo"
ln -s x "$source/a/link" && ln -P "$source/a/link" "$source/b/link"
chmod 0551 "$source/a/sub" && chmod 0711 "$source/a"
touch -d '2001-02-03 04:05:06.789' "$source/a/sub" && touch -d '1969-12-31 23:59:58.5' "$source/a" && touch -d '1999-09-09 09:09:09.9' "$source"
is 0 "M-09: init" run_bkd init p
is 0 "M-09: backup of some names of files that have more" backup
r=$tree/restored$source
is 0 "M-09: restore" restore latest
linked "M-09: names of one file are one file" "$r/a/one" "$r/b/one"
linked "M-09: of the other too" "$r/a/other" "$r/b/other"
apart "M-09: and two with the same content are two" "$r/a/one" "$r/a/other"
linked "M-09: names of a FIFO" "$r/a/fifo" "$r/b/fifo"
linked "M-09: names of a link" "$r/a/link" "$r/b/link"
shows "M-09: one whose other name was excluded is there" '%h %s' "$r/a/alone" '1 2'
is 0 "M-09: one name alone" restore latest "$source/b/one"
shows "M-09: has the content" '%h %s' "$r/b/one" '1 4'
is 0 "M-09: two names, chosen apart" restore latest "$source/b/one" "$source/a/one" "$source/b/fifo" "$source/a/fifo"
linked "M-09: are linked" "$r/a/one" "$r/b/one"
linked "M-09: those of the FIFO too" "$r/a/fifo" "$r/b/fifo"
is 0 "M-12: a directory deep down" restore latest "$source/a/sub"
shows "M-12: has its mode and time" '%a %.Y' "$r/a/sub" "551 $(stat -c %.Y "$source/a/sub")"
shows "M-12: those on the way too" '%a %.Y' "$r/a" "711 $(stat -c %.Y "$source/a")"
shows "M-12: and the source itself" '%a %.Y' "$r" "755 $(stat -c %.Y "$source")"

# ---- M-13 the target itself
up=$(echo "$source" | tr -dc / | wc -c)
again && mkdir -m 0700 "$tree/restored"
is 0 "M-13: into a directory that exists" recover restore latest -q --target "$tree/restored" --strip-components "$up"
shows "M-13: it keeps its mode" '%a' "$tree/restored" 700
again && mkdir -m 0700 "$tree/restored"
is 0 "M-13: unless asked for" recover restore latest -q --target "$tree/restored" --strip-components "$up" --target-attributes
shows "M-13: it has that of the source" '%a %.Y' "$tree/restored" "755 $(stat -c %.Y "$source")"

# ---- M-16 changes that hide
host hidden none
echo 1234 >"$source/mtime" && echo x >"$source/attribute" && echo x >"$source/acl" && echo x >"$source/swap-a" && echo y >"$source/swap-b"
head -c 700000 /dev/urandom >"$source/big"
touch -d '2020-01-01' "$source"/*
sleep 0.02
is 0 "M-16: init" run_bkd init p
is 0 "M-16: backup" backup
echo 5678 >"$source/mtime"
printf X | dd of="$source/big" bs=1 seek=350000 conv=notrunc status=none
mv "$source/swap-a" "$source/c" && mv "$source/swap-b" "$source/swap-a" && mv "$source/c" "$source/swap-b"
setfattr -n user.x -v new "$source/attribute" 2>/dev/null && with_xattr=yes || with_xattr=
setfacl -m u:1:r "$source/acl" 2>/dev/null && with_acl=yes || with_acl=
touch -d '2020-01-01' "$source"/*
is 0 "M-16: backup after changes with the old times" backup
is 0 "M-16: restore" restore latest
(cd "$source" && sha256sum ./*) >"$tree/want"
(cd "$r" 2>/dev/null; cd "$tree/restored$source" && sha256sum ./*) >"$tree/out"
cmp -s "$tree/want" "$tree/out" && ok "M-16: the new content is there" || bad "M-16: the new content is there"
if [ "$with_xattr" ]; then is 0 "M-16: the new attribute" sh -c "getfattr -n user.x '$tree/restored$source/attribute' | grep -q new"; else ok "M-16: attributes # SKIP not held here"; fi
if [ "$with_acl" ]; then is 0 "M-16: the new ACL" sh -c "getfacl -cn '$tree/restored$source/acl' | grep -q '^user:1:r'"; else ok "M-16: ACLs # SKIP not held here"; fi

# ---- M-17 files that change while they are read
host changing none
head -c 60000000 /dev/zero >"$source/grows"
echo still >"$source/still"
is 0 "M-17: init" run_bkd init p
(while :; do printf 'more and more' >>"$source/grows"; done) &
writer=$!
is 3 "M-17: a file that grows while it is read: done, but incomplete" backup
kill "$writer" 2>/dev/null
wait "$writer" 2>/dev/null
is 0 "M-17: backup's list" run_bkd ls p 1 --json
grep '/grows"' "$tree/out" >"$tree/grows"
grep -q '"unstable":true' "$tree/grows" && ok "M-17: it is marked there" || bad "M-17: it is marked there"
is 0 "M-17: restore" restore latest
size=$(stat -c %s "$tree/restored$source/grows")
grep -q "\"size\":$size[,}]" "$tree/grows" && ok "M-17: as long as the list says" || bad "M-17: as long as the list says"
is 0 "M-17: the next night it is whole" backup
is 0 "M-17: restore" restore latest
is 0 "M-17: is what it is" cmp "$source/grows" "$tree/restored$source/grows"

# ---- M-00, M-11 other file systems
host other none
mkdir "$source/dir"
echo content >"$source/file" && chmod 0751 "$source/file" && touch -d '1901-12-14 00:00:00' "$source/file"
echo late >"$source/late" && touch -d '2200-01-01 00:00:00.123456789' "$source/late"
echo two >"$source/two" && touch -d '2002-02-02 02:02:02' "$source/two" && ln "$source/two" "$source/dir/two"
ln -s file "$source/link" && mkfifo "$source/fifo"
if is_root; then
    chown 12345:54321 "$source/late"
    setfattr -n user.x -v y "$source/file" 2>/dev/null
    mknod "$source/device" c 300 70000
fi
is 0 "M-00: init" run_bkd init p
is 0 "M-00: backup" backup
if loop_at "$tree/vfat" 40M mkfs.vfat; then
    is 3 "M-00: onto vfat, which holds little: done, but incomplete" recover restore latest --target "$tree/vfat/new"
    for loss in "file' not exact: .*time" "late' not exact: .*owner 12345:54321" "link' not written: the target's file system has no such type" "fifo' not written" "device' not written" \
        "two' not written"; do says "M-00: the report lists $loss" "$loss"; done
    is 0 "M-00: and the content is there" cmp "$source/file" "$tree/vfat/new$source/file"
else ok "M-00: vfat # SKIP cannot be mounted here"; fi
if loop_at "$tree/old" 40M mkfs.ext4 -q -I 128; then
    is 3 "M-11: onto a file system with times of whole seconds until 2038" recover restore latest --target "$tree/old/new"
    says "M-11: it says what became of them" "late' not exact: time 7258118400.123456789: the file system keeps [0-9]+\.000000000"
    says_not "M-11: and nothing about others" "two' not exact"
else ok "M-11: an old ext4 # SKIP cannot be mounted here"; fi

# ---- M-06 owners by name and by number, M-11 access times, M-00 owners as an ordinary user
if is_root; then
    host owners none
    echo x >"$source/named" && chown nobody:nogroup "$source/named"
    echo x >"$source/unnamed" && chown 4294967294:2147483648 "$source/unnamed"
    is 0 "M-06: init" run_bkd init p
    is 0 "M-06: backup" backup
    sed 's/^nobody:x:[0-9]*/nobody:x:7777/' /etc/passwd >"$tree/passwd"
    if unshare -m mount --bind "$tree/passwd" /etc/passwd 2>/dev/null; then
        elsewhere() {
            again
            unshare -m sh -c 'mount --bind "$1" /etc/passwd && shift && exec "$@"' sh "$tree/passwd" "$BKD_BIN/bkd-restore" -r "$repo" -i "$config/keys/operations.txt" \
                -s "$config/keys/allowed_signers" restore latest -q --target "$tree/restored" "$@"
        }
        is 0 "M-06: where the name has another number" elsewhere
        shows "M-06: the owner goes by name" %u "$tree/restored$source/named" 7777
        shows "M-06: who has no name by number" %u:%g "$tree/restored$source/unnamed" 4294967294:2147483648
        is 0 "M-06: --numeric-owner" elsewhere --numeric-owner
        shows "M-06: all by number" %u "$tree/restored$source/named" "$(id -u nobody)"
    else ok "M-06: another passwd # SKIP no mount namespace"; fi
    chmod 755 "$tree" && mkdir -m 777 "$tree/theirs"
    as_user() { setpriv --reuid 12345 --regid 12345 --clear-groups env HOME="$tree/theirs" "$@"; }
    as_user mkdir -p "$tree/theirs/config/policies" "$tree/theirs/source"
    echo mine >"$tree/theirs/source/roots" && touch -a -d '2001-01-01' "$tree/theirs/source/roots"
    printf 'description: d\nsources:\n  - path: %s\nrepository: %s\nencryption: none\n' "$tree/theirs/source" "$tree/theirs/repository" >"$tree/theirs/config/policies/p.yaml"
    their() { as_user "$BKD_BIN/bkd" --config-dir "$tree/theirs/config" --state-dir "$tree/theirs/state" "$@"; }
    their keys init >/dev/null 2>&1
    their init p >/dev/null 2>&1
    is 0 "M-11: backup of somebody else's file" their backup p
    says "M-11: says once that its access time changes" 'access times of 1 files'
    is 3 "M-00: restored as an ordinary user: done, but incomplete" as_user "$BKD_BIN/bkd-restore" -r "$tree/theirs/repository" -s "$tree/theirs/config/keys/allowed_signers" \
        restore latest --target "$tree/theirs/new"
    says "M-00: owners are summed up" '1 entries belong to you'
    says_not "M-00: and not listed" "roots'"
else ok "M-06, M-11: owners # SKIP needs root"; fi
finish
