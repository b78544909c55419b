#!/bin/sh
# Restores into a target that has files: each --overwrite mode on each type, hard links, links in the way, type conflicts. Compared by rsync and find. TAP.
. "$(dirname "$0")/lib.sh"
host h none
day() { touch -h -d "2024-0$1-01 10:00:00.123456789" "$2"; }

mkdir -p "$source/dir/sub" "$source/was_dir" "$source/filled"
echo same >"$source/same"
echo content >"$source/content"
echo mode >"$source/mode"
echo time >"$source/time"
echo old >"$source/old"
echo new >"$source/new"
echo file >"$source/file"
echo inside >"$source/was_dir/inside"
echo kept >"$source/dir/sub/kept"
ln -s target "$source/link"
mkfifo "$source/fifo"
echo a >"$source/pair1" && ln "$source/pair1" "$source/pair2"
echo b >"$source/other1" && ln "$source/other1" "$source/dir/other2"
echo single >"$source/single"
head -c 3000000 /dev/urandom >"$source/three"
setfattr -n user.colour -v red "$source/same" 2>/dev/null && xattrs=yes || xattrs=no
for f in "$source"/* "$source"/*/*; do day 3 "$f"; done
day 3 "$source"
run_bkd init p >"$tree/out" 2>&1
backup >"$tree/out" 2>&1 || bad "first snapshot"
cp -a "$source" "$tree/good"

# The live tree goes its own way.
spoil() {
    rm -rf "$source"
    cp -a "$tree/good" "$source"
    echo CONTENT >"$source/content" && day 3 "$source/content" # other content, same size and time
    echo longer than before >"$source/three"
    chmod 600 "$source/mode" && day 3 "$source/mode"
    day 4 "$source/time"
    echo OLDER >"$source/old" && day 2 "$source/old"
    echo NEWER >"$source/new" && day 4 "$source/new"
    rm "$source/file" && ln -s /etc/passwd "$source/file"
    rm "$source/link" && echo no link >"$source/link"
    rm -r "$source/was_dir" && echo no dir >"$source/was_dir"
    rm "$source/fifo" && mkdir "$source/fifo"
    rm "$source/pair2" && cp "$source/pair1" "$source/pair2"
    rm "$source/other1" "$source/dir/other2" && ln "$source/pair1" "$source/other1"
    rm -f "$tree/outside" && ln "$source/single" "$tree/outside" && chmod 640 "$source/single"
    chmod 700 "$source/dir" && echo extra >"$source/dir/extra"
}
differs() { rsync -aHAXn --checksum --delete --itemize-changes "$tree/good/" "$source/" | grep -v extra | tee "$tree/out"; }

spoil
existing() { listing "$source" | grep -v -e other2 -e ' d '; }
existing >"$tree/before"
is 3 "never: what exists is left and listed" recover restore latest --in-place
existing >"$tree/after"
is 0 "never: not one of them changed" cmp "$tree/before" "$tree/after"
spoil
touch -d '2024-05-01 10:00:00' "$tree/h"
is 0 "always" recover restore latest --in-place --overwrite always --json
[ "$(stat -c %y "$tree/h")" = "$(date -d '2024-05-01 10:00:00' '+%F %T.000000000 %z')" ] && ok "directories on the way to the source keep their own time" || bad "way: $(stat -c %y "$tree/h")"
[ "$(field replaced || true)0" -ge 160 ] && ok "always: all of them replaced" || bad "replaced: $(field replaced)"
[ -z "$(differs)" ] && ok "always: the tree is that of the snapshot, by rsync" || bad "always differs"
[ "$(cat "$tree/outside")" = single ] && [ "$(stat -c %h,%a "$tree/outside")" = 1,640 ] && ok "a file outside that was linked to one inside is untouched" || bad "outside"
[ "$(stat -c %h "$source/pair1")" = 2 ] && [ "$source/pair1" -ef "$source/pair2" ] && [ "$source/other1" -ef "$source/dir/other2" ] &&
    ! [ "$source/pair1" -ef "$source/other1" ] && ok "hard links part and join as the snapshot has them" || bad "hard links"
[ -f /etc/passwd ] && ! [ -L "$source/file" ] && ok "a link in the way was replaced, not followed" || bad "link in the way"
[ -e "$source/dir/extra" ] && ok "what the snapshot does not have stays" || bad "extra"

spoil
is 0 "if-changed" recover restore latest --in-place --overwrite if-changed --json
echo CONTENT >"$tree/wanted"
is 0 "if-changed: size and time equal is the same" cmp "$source/content" "$tree/wanted"
cp -p "$tree/good/content" "$source/content"
[ -z "$(differs)" ] && ok "if-changed: all the rest is right" || bad "if-changed differs"
[ "$(stat -c %h,%a "$tree/outside")" = 1,640 ] && ok "if-changed: metadata is not given through a link from outside" || bad "outside"
recover restore latest --in-place --overwrite if-changed --json >"$tree/out" 2>&1
[ "$(field replaced)" = 0 ] && [ "$(field updated)" = 0 ] && [ "$(field files)" = 0 ] && ok "again: nothing is left to do" || bad "again"
if [ $xattrs = yes ]; then
    setfattr -n user.colour -v blue "$source/same" && setfattr -n user.more -v x "$source/time"
    is 0 "attributes that differ" recover restore latest --in-place --overwrite if-changed --json
    [ "$(field updated)" = 2 ] && [ "$(getfattr --absolute-names --only-values -n user.colour "$source/same")" = red ] && ! getfattr -n user.more "$source/time" >"$tree/out" 2>&1 &&
        ok "are put right, the content is not fetched" || bad "attributes"
fi

spoil
is 3 "if-newer" recover restore latest --in-place --overwrite if-newer
[ "$(cat "$source/old")" = old ] && [ "$(cat "$source/new")" = NEWER ] && ok "if-newer: older ones replaced, newer ones left" || bad "if-newer"

# A directory that is not empty, where the snapshot has a file.
rm -rf "$source" && cp -a "$tree/good" "$source"
rm "$source/file" && mkdir "$source/file" && echo mine >"$source/file/mine"
is 3 "a directory that holds something is in the way" recover restore latest --in-place --overwrite always
says "which is said" "file.*not empty"
[ "$(cat "$source/file/mine")" = mine ] && ok "and it stays" || bad "directory in the way"

# An exact mirror.
rm -rf "$source" && cp -a "$tree/good" "$source"
mkdir -p "$source/dir/more/deep" && echo x >"$source/dir/more/deep/file" && echo x >"$source/dir/keep.log" && echo x >"$source/dir/more/a.log"
ln -s "$tree/good" "$source/dir/away" && printf x >"$(printf '%s/dir/new\nline' "$source")"
rm "$source/file" && mkdir "$source/file" && echo mine >"$source/file/mine"
listing "$source" >"$tree/before"
is 2 "--delete without a terminal and without --yes" recover restore latest "$source" --in-place --overwrite if-changed --delete
says "says how much it would delete" "9 entries in '/' are not in the snapshot"
listing "$source" >"$tree/after"
is 0 "and nothing was written" cmp "$tree/before" "$tree/after"
is 2 "--delete in the running system without PATHs" recover restore latest --in-place --overwrite if-changed --delete --yes
says "is refused" "needs PATHs"
is 0 "--dry-run of it" recover restore latest "$source" --in-place --overwrite if-changed --delete --dry-run
for line in "delete  $source/dir/more$" "delete  $source/dir/away$" "replace $source/file" "leave   $source/same"; do says "lists '${line%% *}'" "^$line"; done
listing "$source" >"$tree/after"
is 0 "and writes nothing" cmp "$tree/before" "$tree/after"
is 0 "--delete --yes with a pattern" recover restore latest "$source" --in-place --overwrite if-changed --delete --yes --exclude '*.log' --json
[ "$(find "$source" -name '*.log' | wc -l)" = 2 ] && [ ! -e "$source/dir/more/deep" ] && [ -f "$source/file" ] && ok "what patterns leave out stays, the rest is gone" || bad "patterns and --delete"
is 0 "--delete --yes" recover restore latest "$source" --in-place --overwrite if-changed --delete --yes --json
[ "$(field deleted)" = 3 ] && ok "the two logs and their directory were deleted" || bad "deleted: $(field deleted)"
rsync -aHAXn --checksum --delete --itemize-changes "$tree/good/" "$source/" >"$tree/out"
[ ! -s "$tree/out" ] && ok "an exact mirror, by rsync" || bad "not a mirror"
[ -e "$tree/good/same" ] && ok "a link that was deleted was not followed" || bad "followed"
is 0 "again" recover restore latest "$source" --in-place --overwrite if-changed --delete --json
[ "$(field deleted)" = 0 ] && ok "needs no answer, there is nothing to delete" || bad "again"
echo x >"$(dirname "$source")/beside"
mkdir "$tree/elsewhere" && cp -a "$tree/good" "$tree/elsewhere/x" && echo x >"$tree/elsewhere/x/extra"
strip=$(echo "$source" | tr -cd / | wc -c)
is 0 "--delete below another target" recover restore latest "$source" --strip-components "$strip" --target "$tree/elsewhere/x" --overwrite if-changed --delete --yes
[ ! -e "$tree/elsewhere/x/extra" ] && [ -e "$(dirname "$source")/beside" ] && ok "only what stands in mirrored directories goes" || bad "elsewhere"
if [ "$(id -u)" = 0 ] && mkdir -p "$source/dir/mnt" && mount -t tmpfs none "$source/dir/mnt" 2>/dev/null; then
    echo x >"$source/dir/mnt/precious"
    is 3 "a mount among what goes" recover restore latest "$source" --in-place --overwrite if-changed --delete --yes
    says "is left and told" "mounted"
    [ -e "$source/dir/mnt/precious" ] && ok "with what it holds" || bad "mount"
    umount "$source/dir/mnt"
else
    ok "# SKIP mounts need root"
fi
if command -v script >/dev/null; then # from util-linux
    echo x >"$source/dir/extra"
    yes_no() { printf '%s\n' "$1" | script -qec "'$BKD_BIN/bkd-restore' -r '$repo' -s '$config/keys/allowed_signers' restore latest '$source' --in-place --overwrite if-changed --delete" /dev/null; }
    is 2 "asked on a terminal: no" yes_no n
    [ -e "$source/dir/extra" ] && ok "it stays" || bad "deleted all the same"
    is 0 "asked on a terminal: y" yes_no y
    [ ! -e "$source/dir/extra" ] && ok "it goes" || bad "not deleted"
fi

# Large files: what they hold is kept.
rm -rf "$source" && cp -a "$tree/good" "$source"
head -c 40000000 /dev/urandom >"$source/image" && day 3 "$source/image" && day 3 "$source"
rm -rf "$tree/good" && cp -a "$source" "$tree/good"
backup >"$tree/out" 2>&1 || bad "second snapshot"
scribble() { for block in 3 4 5000 9000; do printf scribble | dd of="$1" bs=4096 seek=$block conv=notrunc 2>/dev/null; done; }
scribble "$source/image"
is 0 "--in-place-delta" recover restore latest "$source" --in-place --overwrite if-changed --in-place-delta --verify --json
[ "$(field bytes_written)" -le 16384 ] && [ "$(field replaced)" = 1 ] && ok "$(field bytes_written) bytes of 40 MB were written" || bad "written: $(field bytes_written)"
if [ -z "$(differs)" ]; then ok "the tree is that of the snapshot, by rsync"; else bad "differs"; fi
half=0 n=0
while [ $n -lt 6 ]; do
    n=$((n + 1))
    scribble "$source/image" && cp "$source/image" "$tree/scribbled"
    resume=
    for try in 1 2 3; do
        "$BKD_BIN/bkd-restore" -r "$repo" -s "$config/keys/allowed_signers" restore latest "$source" --in-place --overwrite if-changed --in-place-delta $resume \
            >"$tree/out" 2>&1 </dev/null &
        pid=$!
        draw 90
        sleep 0.0$drawn
        kill -9 $pid 2>/dev/null
        wait $pid 2>/dev/null
        [ ! -e "$source/image" ] || cmp -s "$source/image" "$tree/good/image" || cmp -s "$source/image" "$tree/scribbled" || half=$((half + 1))
        marker=$(find / -maxdepth 1 -name '.bkd-restore-*' 2>/dev/null)
        resume=${marker:+--resume}
    done
    recover restore latest "$source" --in-place --overwrite if-changed --in-place-delta $resume >"$tree/out" 2>&1 || half=100
done
[ $half = 0 ] && [ -z "$(differs)" ] && ok "killed while blocks are written: nothing half-changed has the name, resumed it is whole" || bad "$half"
if [ "$(id -u)" = 0 ] && mkdir "$tree/small" && mount -t tmpfs -o size=60m none "$tree/small" 2>/dev/null; then
    cp -a "$tree/good/." "$tree/small/" && scribble "$tree/small/image"
    is 0 "what is there already needs no room" recover restore latest "$source" --strip-components "$strip" --target "$tree/small" --overwrite if-changed --in-place-delta
    is 0 "the image is right" cmp "$tree/small/image" "$tree/good/image"
    umount "$tree/small"
else
    ok "# SKIP a small file system needs root"
fi
is 2 "an unknown mode" recover restore latest --in-place --overwrite sometimes
is 2 "in place and a target" recover restore latest --in-place --target /x
is 2 "a target on another host" recover restore latest --target sftp://standby/srv
says "is no directory of that name" "'sftp://standby/srv' is on another host"
finish
