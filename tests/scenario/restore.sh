#!/bin/sh
# bkd-restore on a repository that bkd made: restore, list, ls, dump, mtree, check; exit codes, JSON, interruption, other users. Prints TAP.
set -eu
bkd=$BKD_BIN/bkd
restore=$BKD_BIN/bkd-restore
tree=$(mktemp -d)
trap 'chmod -R u+rwX "$tree" 2>/dev/null || true; rm -rf "$tree"' EXIT
export HOME="$tree/home"
unset BKD_CONFIG_DIR BKD_STATE_DIR BKD_SIGNERS XDG_CONFIG_HOME XDG_STATE_HOME || true
config=$tree/c
source=$tree/source
repo=$tree/repo
mkdir -p "$config/policies" "$tree/home" "$source"
number=0
failed=0

report() { # OK-OR-NOT TITLE
    number=$((number + 1))
    if [ "$1" = ok ]; then echo "ok $number - $2"; return; fi
    echo "not ok $number - $2"
    sed 's/^/# /' "$tree/out" "$tree/err" | head -40
    failed=1
}
# expect TITLE EXIT-CODE COMMAND…; leaves its output in $tree/out and $tree/err.
expect() {
    title=$1 wanted=$2
    shift 2
    code=0
    "$@" >"$tree/out" 2>"$tree/err" </dev/null || code=$?
    if [ "$code" = "$wanted" ]; then report ok "$title"; else report bad "$title (exit $code instead of $wanted)"; fi
}
has() { # TITLE FILE TEXT
    if grep -qF -- "$3" "$tree/$2"; then report ok "$1"; else report bad "$1: '$3' is not in $2"; fi
}
b() { "$bkd" --config-dir "$config" --state-dir "$tree/s" "$@"; }
r() { "$restore" -r "$repo" -i "$config/keys/operations.txt" --signers "$config/keys/allowed_signers" "$@"; }
# same TITLE TARGET: the tree below TARGET is the source, by rsync's comparison of everything.
same() {
    rsync -aHAXn --checksum --delete --itemize-changes "$source/" "$2$source/" >"$tree/out" 2>"$tree/err" || true
    if [ -s "$tree/out" ] || [ -s "$tree/err" ]; then report bad "$1"; else report ok "$1"; fi
}

# ---- two nights of a tree with what trees have
mkdir -p "$source/dir/sub" "$source/closed" "$source/with space"
cp -a /usr/include/linux "$source/" 2>/dev/null || cp -a /usr/include/*.h "$source/"
head -c 90000000 /dev/urandom >"$source/image"
head -c 3000000 /dev/urandom >"$source/dir/three"
truncate -s 200M "$source/sparse"
printf 'x' | dd of="$source/sparse" bs=1 seek=100000000 conv=notrunc 2>/dev/null
ln "$source/dir/three" "$source/with space/again"
ln -s ../nowhere "$source/dir/sub/link"
touch -h -d '1960-01-01 00:00:00.5' "$source/dir/sub/link"
mkfifo -m 620 "$source/fifo"
: >"$source/empty"
printf 'a' >"$(printf '%s/new\nline\\ \377' "$source")"
setfattr -n user.colour -v blue "$source/dir/three" 2>/dev/null || true
setfacl -m u:1:rwx -d -m g:2:rx "$source/dir" 2>/dev/null || true
chmod 4755 "$source/empty"
echo secret >"$source/closed/file"
chmod 0 "$source/closed/file"
chmod 0500 "$source/closed"
cat >"$config/policies/t.yaml" <<END
description: a tree
sources: [{path: $source}]
repository: $repo
encryption: {recipients: recipients.txt}
END
expect "keys" 0 b keys init
expect "init" 0 b init t
expect "first night" 0 b backup t
rm -rf "$tree/night1"
cp -a "$source" "$tree/night1"
printf 'changed' | dd of="$source/image" bs=1 seek=50000000 conv=notrunc 2>/dev/null
mv "$source/dir/three" "$source/dir/four"
rm "$source/empty"
expect "second night" 0 b backup t

# ---- restores
expect "restore" 0 r restore latest --target "$tree/new"
has "tells what was restored" out "Restored snapshot 2"
has "and the phases" out "compare"
same "everything is as it was" "$tree/new"
expect "the night before" 0 r restore 1 --target "$tree/old" --json
tail -n 1 "$tree/out" >"$tree/last"
has "the last line is the summary" last '{"type":"summary","schema":1,"snapshot":1'
has "with phases" last '"phases":{"open":{"bytes":'
rsync -aHAXn --checksum --delete --itemize-changes "$tree/night1/" "$tree/old$source/" >"$tree/out" 2>"$tree/err"
if [ -s "$tree/out" ]; then report bad "the night before is as it was"; else report ok "the night before is as it was"; fi
expect "without waiting for the disk" 0 r restore 1 --target "$tree/unsynced" --no-sync
expect "the same tree" 0 diff -r --no-dereference "$tree/old$source/dir" "$tree/unsynced$source/dir"
expect "which risks nothing that was there before" 2 r restore 1 --target "$tree/unsynced" --no-sync --overwrite always
expect "which --verify could not read from it" 2 r restore 1 --target "$tree/unsynced" --no-sync --verify
rm -rf "$tree/unsynced"
expect "into the same place again: nothing is overwritten" 3 r restore latest --target "$tree/new"
has "and each name is listed" err "/with space/again' exists already"
same "nothing was changed" "$tree/new"
expect "one path, its first components off" 0 r restore latest --target "$tree/part" --strip-components "$(echo "$source" | tr -dc / | wc -c)" "$source/dir"
expect "is there, and nothing else" 0 test "$(cd "$tree/part" && find . | sort | tr '\n' ' ')" = ". ./dir ./dir/four ./dir/sub ./dir/sub/link "
expect "a path that is not in the snapshot" 1 r restore latest --target "$tree/none" "$source/empty"
expect "makes nothing" 1 test -e "$tree/none"
expect "--dry-run" 0 r restore latest --target "$tree/none" --dry-run
has "counts" out "Would restore snapshot 2"
expect "--dry-run makes nothing" 1 test -e "$tree/none"
expect "--dry-run into a tree that exists" 3 r restore latest --target "$tree/new" --dry-run
has "lists what is taken" err "/image' exists already"
ln -s "$tree/new" "$tree/pointer"
expect "a target that is a link" 2 r restore latest --target "$tree/pointer"
expect "a target that is a file" 2 r restore latest --target "$tree/last"

# ---- the other commands
expect "dump" 0 r dump latest "$source/image"
if cmp -s "$tree/out" "$source/image"; then report ok "dump writes the file"; else : >"$tree/out"; report bad "dump writes the file"; fi
expect "dump of a directory is a tar" 0 r dump latest "$source/dir"
expect "list" 0 r list
expect "list --json" 0 r list --json
has "shows both" out '"snapshot":2,"state":"good"'
expect "ls" 0 r ls latest~1 "$source/with space"
has "shows the file" out "/with space/again"
expect "mtree" 0 r mtree latest
cp "$tree/out" "$tree/manifest"
if command -v mtree >/dev/null; then
    expect "NetBSD's mtree finds the restored tree exact" 0 sh -c "cd '$tree/new' && mtree -f '$tree/manifest'"
    [ ! -s "$tree/out" ] || report bad "mtree is silent"
    echo x >>"$tree/new$source/image"
    expect "and finds a changed file" 2 sh -c "cd '$tree/new' && mtree -f '$tree/manifest'"
fi
if command -v bsdtar >/dev/null; then
    bsdtar -tf "$tree/manifest" | wc -l >"$tree/out"
    expect "bsdtar reads every line" 0 test "$(cat "$tree/out")" = "$(grep -c '^\.' "$tree/manifest")"
fi
expect "check" 0 r check
expect "check without the identity" 0 "$restore" -r "$repo" --signers "$config/keys/allowed_signers" check --json
expect "check --read-data" 0 r check --read-data

# ---- keys and mistakes
expect "without an identity" 9 "$restore" -r "$repo" --signers "$config/keys/allowed_signers" restore latest --target "$tree/none"
has "names the remedy" err "give -i FILE"
expect "without signers" 9 "$restore" -r "$repo" -i "$config/keys/operations.txt" list
has "names the remedy" err "--signers FILE"
expect "by BKD_SIGNERS" 0 env BKD_SIGNERS="$config/keys/allowed_signers" "$restore" -r "$repo" list
expect "by BKD_CONFIG_DIR" 0 env BKD_CONFIG_DIR="$config" "$restore" -r "$repo" list
expect "--accept-unsigned" 0 "$restore" -r "$repo" --accept-unsigned list
ssh-keygen -q -t ed25519 -N '' -f "$tree/otherkey"
sed "s%ssh-ed25519 .*%$(cut -d' ' -f1,2 "$tree/otherkey.pub")%" "$config/keys/allowed_signers" >"$tree/others"
expect "somebody else's signers" 4 "$restore" -r "$repo" --signers "$tree/others" list
expect "somebody else's identity" 9 sh -c "age-keygen 2>/dev/null >'$tree/other.txt'; chmod 600 '$tree/other.txt'; '$restore' -r '$repo' -i '$tree/other.txt' --signers '$config/keys/allowed_signers' ls latest"
expect "no such repository" 1 "$restore" -r "$tree/nix" --accept-unsigned list
expect "no such snapshot" 1 r ls 7
expect "no target" 2 r restore latest
expect "unknown option" 2 r restore latest --targte x
expect "an error with --json" 9 "$restore" -r "$repo" --signers "$config/keys/allowed_signers" --json ls latest
has "is a line on standard output" out '{"type":"error","schema":1,"code":"key","exit":9,'

# ---- somebody interrupts
for signal in INT TERM; do
    "$restore" -r "$repo" -i "$config/keys/operations.txt" --signers "$config/keys/allowed_signers" restore latest --jobs 1 --target "$tree/cut$signal" >"$tree/out" 2>"$tree/err" &
    pid=$!
    while [ ! -d "$tree/cut$signal$source" ] && kill -0 $pid 2>/dev/null; do :; done
    kill -$signal $pid 2>/dev/null || true
    code=0
    wait $pid || code=$?
    if [ "$code" = 0 ]; then report ok "SIG$signal came too late # SKIP"; continue; fi
    if [ "$code" = 1 ] && grep -q -- --resume "$tree/err"; then report ok "SIG$signal ends it with 1 and says how to go on"; else report bad "SIG$signal ends with $code"; fi
    "$restore" -r "$repo" -i "$config/keys/operations.txt" --signers "$config/keys/allowed_signers" restore latest --resume --target "$tree/cut$signal" >"$tree/out" 2>"$tree/err" || true
    find "$tree/cut$signal" -name '.bkd-*' >"$tree/parts"
    rsync -aHAXn --delete --itemize-changes "$source/" "$tree/cut$signal$source/" | grep -v '^\.' >>"$tree/parts" || true
    if [ ! -s "$tree/parts" ]; then report ok "SIG$signal: going on completes it and leaves nothing of its own"; else report bad "SIG$signal: after going on"; head -n 5 "$tree/parts" | sed 's/^/# /'; fi
done

# ---- somebody who is not root
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    chmod 755 "$tree"
    mkdir -m 777 "$tree/user"
    cp "$config/keys/operations.txt" "$config/keys/allowed_signers" "$tree/user/"
    chown 12345 "$tree/user/operations.txt" "$tree/user/allowed_signers"
    chown -R 12345 "$repo"
    expect "as another user" 3 setpriv --reuid 12345 --regid 12345 --clear-groups env HOME="$tree/user" "$restore" -r "$repo" -i "$tree/user/operations.txt" --signers "$tree/user/allowed_signers" \
        restore latest --target "$tree/user/t"
    has "owners are summed up, not listed" out "entries belong to you instead of their owners"
    if cmp -s "$tree/user/t$source/dir/four" "$source/dir/four"; then report ok "content is there"; else report bad "content is there"; fi
    chown -R 0 "$repo"
fi

# ---- a damaged object
object=$(find "$repo/objects" -type f -size +20M | head -n 1)
chmod u+w "$object"
printf 'XXXX' | dd of="$object" bs=1 seek=10000000 conv=notrunc 2>/dev/null
expect "check finds a damaged object" 4 r check
has "and names it" err "$(basename "$object")"
expect "restore stops" 4 r restore latest --target "$tree/damaged"
expect "and with --keep-going restores the rest" 4 r restore latest --target "$tree/rest" --keep-going
has "naming what is lost" err "/image' lost"
expect "the rest is there" 0 cmp "$tree/rest$source/dir/four" "$source/dir/four"

echo "1..$number"
exit $failed
