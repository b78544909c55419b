#!/bin/sh
# What must not go wrong quietly: sources that are not mounted, two runs, wrong keys, mistakes in a policy, damage in any stored file, a repository that was
# rolled back, lost state, files that cannot be read or change while they are read, a full repository. Prints TAP. BKD_BIN is the directory of
# bkd and bkd-restore; mounts are tried as root only.
. "$(dirname "$0")/lib.sh"

some_files() { # a few of every kind, below $1
    mkdir -p "$1/sub" "$1/empty"
    seq 1 200000 >"$1/large"
    seq 1 3000 >"$1/sub/middle"
    printf one >"$1/one"
    ln -s one "$1/link"
    ln "$1/one" "$1/sub/hard"
}
objects() { find "$repo/objects" -type f 2>/dev/null | wc -l; }
nothing_stored() { # TITLE BEFORE-SNAPSHOTS BEFORE-OBJECTS
    if [ "$(snapshots)" = "$2" ] && [ "$(objects)" = "$3" ]; then ok "$1"; else bad "$1"; fi
}
same_tree() { listing "$1" >"$tree/a"; listing "$2" >"$tree/b"; cmp -s "$tree/a" "$tree/b" || { diff "$tree/a" "$tree/b" | head -n 6 >"$tree/out"; return 1; }; }
restores_as() { # TITLE SNAPSHOT COPY
    if restore "$2" >"$tree/out" 2>&1 && same_tree "$3" "$tree/restored$source"; then ok "$1"; else bad "$1"; fi
}
mounted=
cleanup_mounts() { for m in $mounted; do umount "$m" 2>/dev/null; done; }
trap 'cleanup_mounts; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT
can_mount=no
if [ "$(id -u)" = 0 ] && mkdir "$tree/try" && mount -t tmpfs -o size=1m none "$tree/try" 2>/dev/null; then
    umount "$tree/try"
    can_mount=yes
fi

# --- the source ------------------------------------------------------------------------------------------------------------
host source '{recipients: recipients.txt}'
is 1 "backup before init" backup
says "it says what to do" 'bkd init'
is 0 "init" run_bkd init p
is 1 "init again" run_bkd init p
some_files "$source"
is 0 "a first backup" backup
cp -a "$source" "$tree/night-1"
count=$(objects)
mv "$source" "$tree/away"
is 1 "the source is missing" backup
says "it says which" "source '$source' does not exist"
mkdir "$source"
is 1 "the source is empty, as a mount point whose disk is not mounted" backup
says "it says why, and the way on" 'is empty, but had .* entries.*--accept-source-change'
nothing_stored "nothing was stored" 1 "$count"
is 0 "emptied on purpose" backup --accept-source-change
is 0 "and from then on without being told" backup
rmdir "$source"
mv "$tree/away" "$source"
is 0 "all is there again" backup
restores_as "and restores" latest "$tree/night-1"
restores_as "as does the first night" 1 "$tree/night-1"
if [ $can_mount = yes ]; then
    mount -t tmpfs -o size=8m none "$source" && mounted="$source"
    count=$(objects) listed=$(snapshots)
    is 1 "another, empty file system is mounted over the source" backup
    some_files "$source"
    is 1 "another file system with files in it" backup
    says "it says why, and the way on" 'another file system.*--accept-source-change'
    nothing_stored "nothing was stored" "$listed" "$count"
    umount "$source"
    mounted=
else
    ok "another file system over the source # SKIP cannot mount"
fi
mv "$source" "$tree/real"
ln -s "$tree/real" "$source"
is 2 "the source became a link" backup
rm "$source"
mv "$tree/real" "$source"

# --- two runs at once ------------------------------------------------------------------------------------------------------
head -c 100000000 /dev/urandom >"$source/random"
(exec "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p) >"$tree/first" 2>&1 &
child=$!
while [ -z "$(find "$repo/tmp" -type f 2>/dev/null)" ] && kill -0 $child 2>/dev/null; do :; done
busy=0
backup >"$tree/out" 2>&1 || busy=$?
if [ "$busy" = 6 ]; then ok "a second run beside the first ends with 6"; else bad "a second run beside the first ends with 6 ($busy)"; fi
says "it says what to do" 'another run'
if wait $child; then ok "the first one is not disturbed"; else bad "the first one is not disturbed"; fi
rm "$source/random"

# --- files that cannot be read, files that change --------------------------------------------------------------------------
if [ "$(id -u)" != 0 ]; then
    chmod 000 "$source/sub/middle"
    is 3 "a file that cannot be read" backup
    says "it is listed" '"type":"problem".*sub/middle'
    says "the summary says so" '"complete":false'
    chmod 644 "$source/sub/middle"
elif command -v setpriv >/dev/null; then
    cp -a "$home" "$tree/other"
    chmod 755 "$tree"
    chown -R 65534:65534 "$tree/other"
    home=$tree/other source=$tree/other/source repo=$tree/other/repository state=$tree/other/state config=$tree/other/config
    sed -i "s|$tree/source|$tree/other|" "$config/policies/p.yaml"
    chown root "$source/sub/middle" && chmod 600 "$source/sub/middle"
    mkdir -m 700 "$source/secret" && : >"$source/secret/file"
    is 3 "a file and a directory that cannot be read" setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/ \
        "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p --json --accept-source-change
    says "the file is listed" '"type":"problem".*sub/middle'
    says "the directory is listed" '"type":"problem".*secret'
    says "the summary says so" '"complete":false'
    run_bkd snapshots p --json >"$tree/out" 2>&1
    says "the snapshot is marked" '"complete":false'
    chown -R 0:0 "$config"
    cp -a "$source" "$tree/without" && rm -r "$tree/without/sub/middle" "$tree/without/secret/file"
    touch -r "$source/sub" "$tree/without/sub" && touch -r "$source/secret" "$tree/without/secret" && touch -r "$source" "$tree/without"
    restores_as "the rest of it restores" latest "$tree/without"
fi
host changing '{recipients: recipients.txt}'
some_files "$source"
is 0 "init" run_bkd init p
head -c 200000000 /dev/zero >"$source/a-grows"
printf 'small' >"$source/b-grows"
(while :; do date +%N >>"$source/a-grows"; date +%N >>"$source/b-grows"; done) 2>/dev/null &
writer=$!
is 3 "files that change while they are read" backup
says "they are counted" '"unstable_files":[12]'
kill $writer 2>/dev/null
wait $writer 2>/dev/null
is 0 "what was stored restores" restore 1
run_bkd ls p 1 --json >"$tree/out" 2>&1
says "and is flagged" 'unstable'
is 0 "the next run is complete" backup
cp -a "$source" "$tree/now"
restores_as "and right" 2 "$tree/now"

# --- keys and policies -----------------------------------------------------------------------------------------------------
host keys '{recipients: recipients.txt}'
some_files "$source"
is 0 "init" run_bkd init p
is 0 "a backup" backup
cp -a "$source" "$tree/keys-night"
"$BKD_BIN/bkd" --config-dir "$tree/stranger" keys init >"$tree/out" 2>&1
is 9 "restore with an identity that fits nothing" "$BKD_BIN/bkd-restore" -r "$repo" -i "$tree/stranger/keys/operations.txt" -s "$config/keys/allowed_signers" restore latest --target "$tree/r1"
is 9 "restore without an identity" "$BKD_BIN/bkd-restore" -r "$repo" -s "$config/keys/allowed_signers" restore latest --target "$tree/r1"
is 4 "restore of what a stranger signed" "$BKD_BIN/bkd-restore" -r "$repo" -i "$config/keys/operations.txt" -s "$tree/stranger/keys/allowed_signers" restore latest --target "$tree/r1"
if [ -e "$tree/r1" ] && [ -n "$(find "$tree/r1" -type f)" ]; then bad "nothing was written"; else ok "nothing was written"; fi
mv "$config/keys/signing" "$tree/signing"
is 9 "backup without the signing key" backup
cp "$tree/stranger/keys/signing" "$config/keys/signing"
is 9 "backup with a signing key that allowed_signers does not have" backup
mv "$tree/signing" "$config/keys/signing"
chmod 644 "$config/keys/signing"
is 9 "a signing key that others can read" backup
chmod 600 "$config/keys/signing"
mv "$config/keys/recipients.txt" "$tree/recipients"
head -n 2 "$tree/recipients" | grep -v '^$' >"$config/keys/recipients.txt"
sed -n '/^age1/{p;q}' "$tree/recipients" >"$config/keys/recipients.txt"
chmod 600 "$config/keys/recipients.txt"
is 9 "a single recipient" backup
rm "$config/keys/recipients.txt"
is 9 "no recipients file" backup
mv "$tree/recipients" "$config/keys/recipients.txt"
cp "$config/policies/p.yaml" "$tree/p.yaml"
sed -i 's/^sources:/sorces:/' "$config/policies/p.yaml"
is 2 "a mistyped key in the policy" run_bkd backup p
says "with line and column" 'p.yaml:2:1: '
says "the nearest key" 'sources'
sed 's/^encryption:.*/encryption: none/' "$tree/p.yaml" >"$config/policies/p.yaml"
is 2 "encryption that is not the repository's" backup
sed "s|^repository:.*|repository: $source/inside|" "$tree/p.yaml" >"$config/policies/p.yaml"
is 2 "the repository inside the source" backup
cp "$tree/p.yaml" "$config/policies/p.yaml"
is 2 "no such option" backup --frobnicate
is 2 "no such policy" run_bkd backup q
is 0 "all put right again" backup
restores_as "and it restores" latest "$tree/keys-night"

# --- damage in any stored file ---------------------------------------------------------------------------------------------
seq 7 7 300000 >"$source/second"
is 0 "a second night" backup
cp -a "$source" "$tree/keys-second"
cp -a "$repo" "$tree/whole"
cp -a "$state" "$tree/state-whole"
flip() { # FILE: one bit in its middle
    middle=$(($(stat -c %s "$1") / 2))
    byte=$(od -An -tu1 -j $middle -N 1 "$1" | tr -d ' ')
    printf "\\$(printf %o $((byte ^ 4)))" | dd of="$1" bs=1 seek=$middle conv=notrunc status=none
}
unnamed=
wrong=
for file in $(cd "$repo" && find . -type f | sed 's|^\./||'); do
    cp "$repo/$file" "$tree/kept"
    chmod u+w "$repo/$file"
    flip "$repo/$file"
    got=0
    run_bkd check p --json >"$tree/out" 2>&1 || got=$?
    [ $got = 4 ] && grep -q "${file%.sig}" "$tree/out" || unnamed="$unnamed $file($got)"
    got=0
    recover check --json >"$tree/out" 2>&1 || got=$?
    [ $got = 4 ] && grep -q "${file%.sig}" "$tree/out" || unnamed="$unnamed bkd-restore:$file($got)"
    # What does not need the damaged file restores; what does is refused or lacks it, and is never wrong.
    for n in 1 3; do
        got=0
        restore $n --keep-going >"$tree/out" 2>&1 || got=$?
        case $n in 1) copy=$tree/keys-night ;; 3) copy=$tree/keys-second ;; esac
        if [ $got = 0 ]; then
            same_tree "$copy" "$tree/restored$source" || wrong="$wrong $file:$n"
        elif [ $got != 4 ]; then
            wrong="$wrong $file:$n($got)"
        else
            (cd "$tree/restored$source" 2>/dev/null && find . -type f ! -name '.bkd-part*' | while read -r f; do cmp -s "$f" "$copy/$f" || echo "$f"; done) >"$tree/differ"
            [ ! -s "$tree/differ" ] || wrong="$wrong $file:$n:$(head -n 1 "$tree/differ")"
        fi
    done
    cp "$tree/kept" "$repo/$file"
done
echo "$unnamed" >"$tree/out"
if [ -z "$unnamed" ]; then ok "a bit flipped in each of $(find "$repo" -type f | wc -l) stored files: check ends with 4 and names it"; else bad "check names each damaged file"; fi
echo "$wrong" >"$tree/out"
if [ -z "$wrong" ]; then ok "and no restore gives anything wrong"; else bad "no restore gives anything wrong"; fi
is 0 "undone, check is content" run_bkd check p
# The object that only the newest snapshot needs.
new=
newest_refs=$(sed -n 's/^refs \([0-9a-f]*\) .*/\1/p' "$(find "$repo/heads" -type f | sort -V | tail -n 1)")
for file in $(cd "$repo" && find objects -type f); do
    name=$(basename "$file" | cut -d . -f 1)
    [ "$(cat "$repo"/refs/* | grep -c " $name ")" != 1 ] || ! grep -q " $name " "$repo/refs/$newest_refs" || new=$file
done
if [ -n "$new" ]; then
    flip "$repo/$new"
    restores_as "the second night's object is damaged: the first night restores" 1 "$tree/keys-night"
    is 4 "the second night is refused" restore 3
    got=0
    backup >"$tree/out" 2>&1 || got=$?
    echo "# the next backup ends with $got"
else
    bad "an object of the second night alone"
fi

# --- rolled back, lost -----------------------------------------------------------------------------------------------------
rm -rf "$repo" "$state"
cp -a "$tree/whole" "$repo"
cp -a "$tree/state-whole" "$state"
head=$(find "$repo/heads" -type f | sort -V | tail -n 1)
mv "$head" "$tree/newest"
is 4 "the newest head is gone: the repository was rolled back" backup
says "it says so, and the way on" 'rolled back.*pin'
cp "$tree/newest" "$head"
flip "$head"
is 4 "the newest head is damaged: backup" backup
is 4 "its snapshot by number" restore "$(basename "$head")"
is 0 "the latest that is good restores" restore latest
says "with a warning that it is not the newest" 'warning: snapshot .* cannot be used'
cp "$tree/newest" "$head"
is 0 "it is there again" backup
listed=$(snapshots)
rm -rf "$state"
is 0 "the state directory is lost" backup
if [ "$(snapshots)" = $((listed + 1)) ] && [ "$(find "$repo/heads" -mindepth 1 -type d | wc -l)" = 1 ]; then ok "its chain goes on"; else bad "its chain goes on"; fi
restores_as "and restores" latest "$tree/keys-second"
restores_as "as does the first night" 1 "$tree/keys-night"
is 0 "check" run_bkd check p --read-data -i "$config/keys/operations.txt"

# --- a full repository -----------------------------------------------------------------------------------------------------
if [ $can_mount = yes ]; then
    host full '{recipients: recipients.txt}'
    mkdir "$repo"
    mount -t tmpfs -o size=24m none "$repo" && mounted="$repo"
    some_files "$source"
    cp -a "$source" "$tree/full-night"
    is 0 "init on a small file system" run_bkd init p
    is 0 "a backup that fits" backup
    head -c 40000000 /dev/urandom >"$source/too-much"
    is 7 "a backup that does not fit" backup
    says "it says where" "$repo"
    says "and what is wrong" '[Nn]o space|full'
    restores_as "the earlier snapshot restores while it is full" 1 "$tree/full-night"
    is 7 "again" backup
    if [ -z "$(find "$repo/tmp" -type f 2>/dev/null)" ]; then ok "nothing half-made takes up space"; else bad "nothing half-made takes up space"; fi
    is 0 "check is content" run_bkd check p
    # Full in steps: ever less is left.
    truncate -s 2000000 "$source/too-much"
    step=0 other=0
    while [ $step -lt 24 ]; do
        head -c $((24000000 - step * 64 * 1024)) /dev/zero >"$repo/filler" 2>/dev/null
        got=0
        backup >"$tree/out" 2>&1 || got=$?
        case $got in 0 | 7) ;; *) other=$((other + 1)); sed 's/^/# /' "$tree/out" ;; esac
        step=$((step + 1))
    done
    rm -f "$repo/filler"
    if [ $other = 0 ]; then ok "full in 24 steps of 64 KiB: done, or exit 7"; else bad "full in 24 steps: $other runs ended otherwise"; fi
    is 0 "space is back: the next run" backup
    cp -a "$source" "$tree/full-now"
    restores_as "it restores" latest "$tree/full-now"
    restores_as "so does the first" 1 "$tree/full-night"
    is 0 "check" run_bkd check p --read-data -i "$config/keys/operations.txt"
    # The state directory's file system is full.
    umount "$repo"
    mounted=
    host fullstate none
    mkdir "$state"
    mount -t tmpfs -o size=1m none "$state" && mounted="$state"
    is 0 "init" run_bkd init p
    i=0
    while [ $i -lt 3000 ]; do echo $i >"$source/a-name-that-takes-its-place-in-a-manifest-and-in-other-places-$i"; i=$((i + 1)); done
    is 7 "the state directory's file system is too small" backup
    says "it says where" "$state"
    mount -o remount,size=64m "$state"
    is 0 "enlarged, it succeeds" backup
    umount "$state"
    mounted=
else
    ok "a full repository # SKIP cannot mount"
fi
finish
