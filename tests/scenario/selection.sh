#!/bin/sh
# Choosing what to restore: PATHs, patterns, owners mapped, tar streams, versions found, rehearsals, targets that cannot hold everything. Prints TAP.
# shellcheck source=tests/scenario/lib.sh
. "${BKD_SOURCE:-$(dirname "$0")/../..}/tests/scenario/lib.sh"

# exact TITLE FILE…: what the last command said is exactly these lines.
exact() {
    title=$1
    shift
    printf '%s\n' "$@" >"$tree/wanted"
    if cmp -s "$tree/out" "$tree/wanted"; then ok "$title"; else diff "$tree/wanted" "$tree/out" | sed 's/^/# /'; bad "$title"; fi
}
# names: the paths of the last ls, relative to the source, without ancestors of it.
names() { sed -n "s%.* $source%%p" "$tree/out" >"$tree/names" && mv "$tree/names" "$tree/out"; }
files_below() { (cd "$1" 2>/dev/null && find . -type f | sort) >"$tree/out"; }

host selection '{recipients: recipients.txt}'
mkdir -p "$source/src/deep/er" "$source/logs" "$source/-dash" "$source/cache"
for f in src/main.c src/main.h src/deep/er/x.c src/notes.txt logs/run.log logs/old.log -dash/-rf cache/x.c; do echo "$f" >"$source/$f"; done
printf 'odd' >"$(printf '%s/new\nline\\ \377' "$source")"
ln "$source/src/main.c" "$source/src/twin"
chmod 0700 "$source/src/deep"
touch -d '2001-02-03 04:05:06.789' "$source/src/deep/er" "$source/src/deep"
is 0 "a repository" run_bkd init p
is 0 "a night" backup

# ---- ls
is 0 "ls with an include pattern" recover ls latest --include '*.c'
names
exact "lists what matches at any depth" /cache/x.c /src/deep/er/x.c /src/main.c
is 0 "ls with include and exclude" recover ls latest -I '*.c' -E cache/
names
exact "the exclude pattern wins" /src/deep/er/x.c /src/main.c
is 0 "an anchored pattern below a PATH" recover ls latest "$source/src" --include "$source/src/*.h"
names
exact "is relative to the snapshot's root" /src/main.h
is 0 "a PATH that begins with '-' in a name" recover ls latest -- "$source/-dash/-rf"
names
exact "is found after '--'" /-dash/-rf
printf '# all C\n*.c\n\n!x.c\n' >"$tree/patterns"
is 0 "patterns from a file" recover ls latest --include-from "$tree/patterns"
names
exact "comments and empty lines say nothing, '!' takes back" /src/main.c
is 0 "patterns from standard input" sh -c "printf '*.h\n' | $BKD_BIN/bkd-restore -r $repo -i $config/keys/operations.txt -s $config/keys/allowed_signers ls latest --include-from -"
names
exact "are taken" /src/main.h
printf 'ok\na**b\n' >"$tree/patterns"
is 2 "a bad line of a file" recover ls latest --exclude-from "$tree/patterns"
says "is named with its number" "line 2: pattern 'a\*\*b'"
is 2 "a bad pattern" recover ls latest --include '[a'
is 1 "a file that is not there" recover ls latest --include-from "$tree/none"

# ---- what matches nothing
is 0 "a pattern that matches nothing beside one that does" recover ls latest --include '*.c' --include '*.zig' --exclude '*.rs'
says "is told" "warn.*--include '\*\.zig' matches nothing"
says "the exclude pattern as well" "--exclude '\*\.rs' matches nothing"
is 1 "patterns that match nothing at all" recover ls latest --include '*.zig'
says "say so" "nothing is selected"
is 1 "nothing left" recover restore latest --exclude '*' --target "$tree/nothing"
if [ -e "$tree/nothing" ]; then bad "and no target was made"; else ok "and no target was made"; fi
is 1 "a PATH that is not there" recover restore latest "$source/src" "$source/none" --target "$tree/nothing"
says "is named" "$source/none' is not in snapshot 1"
if [ -e "$tree/nothing" ]; then bad "and nothing was restored"; else ok "and nothing was restored"; fi
is 0 "a warning with --json" recover ls latest --json --include '*.c' --exclude '*.rs'
says "is a line of its own" '"type":"warning","schema":1,"message":"--exclude'

# ---- restore
restore latest --include 'er/' --exclude '*.log' >"$tree/out" 2>&1
files_below "$tree/restored$source"
exact "restore of a directory by pattern" ./src/deep/er/x.c
if [ "$(stat -c '%a %Y' "$tree/restored$source/src/deep")" = "$(stat -c '%a %Y' "$source/src/deep")" ]; then ok "directories on the way have their own mode and time"; else bad "directories on the way have their own mode and time"; fi
if [ -e "$tree/restored$source/logs" ]; then bad "and no other directories are made"; else ok "and no other directories are made"; fi
restore latest --include twin >"$tree/out" 2>&1
files_below "$tree/restored$source"
exact "one name of a hard-linked file" ./src/twin
is 0 "with its content" cmp "$source/src/main.c" "$tree/restored$source/src/twin"
is 0 "a name as ls prints it" recover ls latest --include 'new*'
printed=$(sed -n 's/^[^/]*\(\/.*\)/\1/p' "$tree/out")
is 0 "is found with --escaped" recover restore latest --escaped "$printed" --target "$tree/odd"
is 0 "and restored under its bytes" cmp "$(printf '%s/new\nline\\ \377' "$source")" "$(printf '%s/new\nline\\ \377' "$tree/odd$source")"
is 2 "a bad escape" recover ls latest --escaped '/a\q'

# ---- dump: a file, and tar streams that stock tars extract
is 2 "dump of nothing" recover dump latest
is 0 "dump of one file" recover dump latest "$source/src/main.c"
exact "is the file" src/main.c
is 2 "dump with --json" recover dump latest "$source/src/main.c" --json
is 1 "dump of a PATH that is not there" recover dump latest "$source/none" --tar
mkdir -p "$source/tar/sub"
head -c 170000000 /dev/urandom >"$source/tar/large" # fills an object, so that the manifest stands in another
truncate -s 300M "$source/tar/holes"
printf 'in the middle' | dd of="$source/tar/holes" bs=1 seek=200000000 conv=notrunc 2>/dev/null
truncate -s 5M "$source/tar/nothing-but-hole"
: >"$source/tar/empty"
ln "$source/tar/large" "$source/tar/sub/again"
ln -s 'no where' "$source/tar/sub/link"
mkfifo -m 640 "$source/tar/fifo"
echo x >"$(printf '%s/tar/bad\377\nname' "$source")"
echo y >"$source/tar/hÃ©"
long=$(printf 'n%.0s' $(seq 200))
mkdir -p "$source/tar/$long/$long" && echo deep >"$source/tar/$long/$long/$long"
setfattr -n user.colour -v 'b=lue' "$source/tar/large" 2>/dev/null || true
setfacl -m u:1:rwx -d -m g:2:rx "$source/tar/sub" 2>/dev/null || true
if [ "$(id -u)" = 0 ]; then
    mknod "$source/tar/device" b 4000 70000
    chown 12345:54321 "$source/tar/empty"
    setcap cap_net_raw+ep "$source/tar/empty" 2>/dev/null || true
fi
chmod 2755 "$source/tar/empty"
touch -d '1969-12-31 23:59:30' "$source/tar/hÃ©"
touch -d '2100-01-01 00:00:00.123456789' "$source/tar/empty" "$source/tar/sub"
is 0 "a night with more kinds of entries" backup
# attributes DIR: what find, getfattr and getfacl say of all entries, by names relative to it.
attributes() {
    (cd "$1" && listing . && find . -printf '%p %b\n' | grep -e holes -e nothing && getfattr -Rdhm - . 2>/dev/null; getfacl -Rnp . 2>/dev/null; find . -type b -exec stat -c '%n %t %T' {} +)
}
attributes "$source/tar" >"$tree/before" 2>&1
for program in tar bsdtar; do
    mkdir "$tree/$program"
    options=-xpf
    [ $program = tar ] && options="--xattrs --xattrs-include=* --acls $options"
    # The options are words. bsdtar takes names of owners only as root.
    # shellcheck disable=SC2086
    is 0 "a directory as a tar stream into $program" sh -c "$BKD_BIN/bkd-restore -r $repo -i $config/keys/operations.txt -s $config/keys/allowed_signers dump latest $source/tar | (set -f; LC_ALL=C.UTF-8 $program $options - -C $tree/$program)"
    attributes "$tree/$program$source/tar" >"$tree/after" 2>&1
    if diff "$tree/before" "$tree/after" >"$tree/out"; then ok "$program extracts it identically"; else bad "$program extracts it identically"; fi
done
recover dump latest --tar "$source/src/main.c" "$source/tar/sub/again" --exclude '*.zig' 2>"$tree/err" | tar -tf - >"$tree/out"
says "two PATHs are a tar, names without the leading slash" "^${source#/}/tar/sub/again"
says "with the directories on the way" "^${source#/}/src/\$"
says_not "and nothing else" notes
recover dump latest --tar --include main.c | tar -xOf - "${source#/}/src/main.c" >"$tree/out"
exact "patterns choose for a tar as well" src/main.c
recover dump latest --tar | tar -tf - | wc -l >"$tree/out"
recover ls latest | wc -l >"$tree/wanted"
if cmp -s "$tree/out" "$tree/wanted"; then ok "the whole snapshot is a tar with all its entries"; else bad "the whole snapshot is a tar with all its entries"; fi
# Damage in the object of the large file: exit 4, and a tar that says so.
cp -a "$repo" "$tree/copy"
object=$(find "$tree/copy/objects" -type f -size +120M)
chmod u+w "$object"
printf 'XXXX' | dd of="$object" bs=1 seek=20000000 conv=notrunc 2>/dev/null
for program in tar bsdtar; do
    got=0
    "$BKD_BIN/bkd-restore" -r "$tree/copy" -i "$config/keys/operations.txt" -s "$config/keys/allowed_signers" dump latest "$source/tar" >"$tree/torn.tar" 2>"$tree/out" || got=$?
    if [ $got = 4 ]; then ok "damaged data ends a tar with 4"; else bad "damaged data ends a tar with $got"; fi
    says "naming the file" "error: '/.*/tar/[^:]*':"
    if $program -tf "$tree/torn.tar" >"$tree/out" 2>&1; then bad "$program complains of the torn tar"; else ok "$program complains of the torn tar"; fi
done
is 4 "and one file as well" "$BKD_BIN/bkd-restore" -r "$tree/copy" -i "$config/keys/operations.txt" -s "$config/keys/allowed_signers" dump latest "$source/tar/large"
rm -rf "$tree/copy" "$tree/torn.tar" "$tree/tar" "$tree/bsdtar"
is 0 "a fifo alone" sh -c "$BKD_BIN/bkd-restore -r $repo -i $config/keys/operations.txt -s $config/keys/allowed_signers dump latest --tar $source/tar/fifo | tar -tvf -"
says "is a member with --tar" "^prw-r-----"
is 2 "and nothing for standard output without" recover dump latest "$source/tar/fifo"

# ---- rehearsals
is 0 "a rehearsal into nothing" recover restore latest "$source/src" --target "$tree/none" --dry-run
says "lists what would be created" "^create  $source/src/main\.c \(11 B\)\$"
says "directories on the way as well" "^create  $source\$"
says "says what it needs and what is free" "^  needs [0-9.]+ KiB; .* are free"
if [ -e "$tree/none" ]; then bad "and makes nothing"; else ok "and makes nothing"; fi
is 0 "something to rehearse against" recover restore latest "$source/src" --target "$tree/there"
printf changed >"$tree/there$source/src/main.h"
chmod 600 "$tree/there$source/src/notes.txt"
rm "$tree/there$source/src/deep/er/x.c"
listing "$tree/there" >"$tree/before"
is 0 "a rehearsal over what exists" recover restore latest "$source/src" --target "$tree/there" --dry-run --overwrite if-changed
grep -E '^(create|replace|update|leave) ' "$tree/out" | sed 's/:.*//; s/ (.*//' | grep -v ' /[^ ]*/deep$\|/er$\|/src$' | sort >"$tree/names"
mv "$tree/names" "$tree/out"
exact "says what would become of each" "create  $source/src/deep/er/x.c" "leave   $source/src/main.c" "leave   $source/src/twin" "replace $source/src/main.h" "update  $source/src/notes.txt"
listing "$tree/there" >"$tree/after"
is 0 "and changes nothing" cmp "$tree/before" "$tree/after"
is 0 "a rehearsal with --json" recover restore latest "$source/src" --target "$tree/there" --dry-run --overwrite if-changed --json
says "has an object for each" '"type":"action","schema":1,"action":"replace","path":"'"$source"'/src/main.h","entry_type":"f","bytes":11'
says "and the bytes needed" '"dry_run":true.*"needed_bytes":8192'
if [ "$(field replaced) $(field updated) $(field files)" = "1 1 2" ]; then ok "and the counts of what would be made"; else bad "and the counts: $(field replaced) $(field updated) $(field files)"; fi
is 0 "the restore then does it" recover restore latest "$source/src" --target "$tree/there" --overwrite if-changed --json
if [ "$(field replaced) $(field updated) $(field files)" = "1 1 2" ]; then ok "with the same counts"; else bad "with the same counts: $(field replaced) $(field updated) $(field files)"; fi
is 3 "a rehearsal that may not overwrite" recover restore latest "$source/src" --target "$tree/there" --dry-run
says "tells what is in the way" "main.h' exists already"
: >"$tree/file"
is 2 "a target that is a file is refused in a rehearsal too" recover restore latest --target "$tree/file" --dry-run

# ---- how long it takes, said beforehand; three tries, because the machine may have other things to do
close=no
for try in 1 2 3; do
    [ $close = no ] || break
    rm -rf "$tree/timed"
    recover restore latest --target "$tree/timed" --json >"$tree/out" 2>&1
    expected=$(field expected_ms) took=$(($(sed -n 's/.*"type":"summary".*"duration_ms":\([0-9]*\).*/\1/p' "$tree/out")))
    [ "$expected" -le $((4 * took)) ] && [ "$took" -le $((4 * expected + 1000)) ] && close=yes
    echo "# try $try: expected $expected ms, took $took ms"
done
if [ $close = yes ]; then ok "what a restore expects is within a factor of four of what it takes"; else bad "what a restore expects: $expected ms, took $took ms"; fi
says "the expectation is a line of its own" '"type":"expectation","schema":1,"files":[0-9]+,"bytes":[0-9]+,"expected_ms":'
find "$tree/timed" -name '.bkd-*' >"$tree/out"
if [ -s "$tree/out" ]; then bad "nothing that was tried stays"; else ok "nothing that was tried stays"; fi
is 0 "a rehearsal expects as well" recover restore latest --target "$tree/none" --dry-run
says "and says so" "^expected: "
truncate -s 2T "$source/immense" 2>/dev/null || truncate -s 200G "$source/immense"
is 0 "a night with a file that is all hole" backup
is 0 "holes need no bytes and no time" recover restore latest "$source/immense" "$source/src" --target "$tree/none" --dry-run --json
if [ "$(field needed_bytes)" -le 100000 ] && [ "$(field expected_ms)" -le 20000 ]; then ok "in what is needed and expected"; else bad "in what is needed ($(field needed_bytes)) and expected ($(field expected_ms) ms)"; fi
rm "$source/immense"
if [ -e "$tree/none" ]; then bad "and leaves nothing"; else ok "and leaves nothing"; fi
rm -rf "$tree/timed"

# ---- a target that cannot hold everything: exfat knows no ACLs, links or colons, and not upper from lower case
device=
if [ "$(id -u)" = 0 ] && command -v mkfs.exfat >"$tree/out" && command -v mount.exfat-fuse >"$tree/out"; then
    truncate -s 64M "$tree/exfat.img"
    mkfs.exfat "$tree/exfat.img" >"$tree/out" 2>&1 && device=$(losetup -f --show "$tree/exfat.img" 2>"$tree/out") && mkdir "$tree/exfat" &&
        mount.exfat-fuse "$device" "$tree/exfat" >"$tree/out" 2>&1 || { [ -z "$device" ] || losetup -d "$device"; device=; }
fi
if [ -n "$device" ]; then
    trap 'umount "$tree/exfat" 2>/dev/null; losetup -d "$device" 2>/dev/null; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT
    mkdir "$source/poor"
    for f in readme README a:b; do echo "$f" >"$source/poor/$f"; done
    ln -s readme "$source/poor/link"
    mkfifo "$source/poor/fifo"
    setfacl -m u:1:rwx "$source/poor"
    is 0 "a night with names that differ in case" backup
    is 1 "names that would be one are refused" recover restore latest "$source/poor" --target "$tree/exfat/t"
    says "with both names" "README' for '.*/readme'"
    says "after what else would be lost was told" "cannot hold ACLs: 1 entry will not be exact, for example '$source/poor'"
    find "$tree/exfat" -type f >"$tree/out"
    if [ -s "$tree/out" ]; then bad "and nothing was written"; else ok "and nothing was written"; fi
    is 1 "a rehearsal says the same" recover restore latest "$source/poor" --target "$tree/exfat/t" --dry-run
    is 1 "--strict refuses losses" recover restore latest "$source/poor" --exclude README --target "$tree/exfat/t" --strict
    says "and says what for" "nothing was written: --strict"
    is 3 "without it all the rest is restored" recover restore latest "$source/poor" --exclude README --target "$tree/exfat/t" --json
    says "losses are objects" '"type":"loss","schema":1,"what":"symlink","entry":true,"entries":1,"example":"'"$source/poor/link"
    is 0 "the content is there" cmp "$source/poor/readme" "$tree/exfat/t$source/poor/readme"
    umount "$tree/exfat" && losetup -d "$device"
else
    ok "a target that cannot hold everything # SKIP needs root, exfatprogs, exfat-fuse, /dev/fuse and a loop device"
fi

# ---- owners exchanged
is 2 "a rule that is none" recover restore latest --target "$tree/owners" --chown-map user:root
says "is explained" "write user:OLD=NEW"
is 2 "an owner that this machine does not have" recover restore latest --target "$tree/owners" --chown-map user:root=no-such-user
if [ "$(id -u)" = 0 ]; then
    printf '# owners\nuser:0=4711\ngroup:root=4712\n' >"$tree/map"
    is 0 "restore with a map of owners" recover restore latest "$source/src" --target "$tree/owners" --chown-map "$tree/map"
    find "$tree/owners" -mindepth 1 -printf '%U:%G\n' | sort -u >"$tree/out"
    exact "gives everything to the new ones" 4711:4712
    is 0 "with --numeric-owner" recover restore latest "$source/src" --target "$tree/owners2" --chown-map group:root=daemon --numeric-owner
    find "$tree/owners2" -mindepth 1 -printf '%u:%g\n' | sort -u >"$tree/out"
    exact "a rule still goes first" root:daemon
else
    ok "owners are exchanged by root only # SKIP"
fi

# ---- damage of what is not asked for: named paths and the list of files have no object read whole
host parts '{recipients: recipients.txt}'
echo little >"$source/little"
head -c 12000000 /dev/urandom >"$source/much"
run_bkd init p >"$tree/out" 2>&1
is 0 "one object with a little file and a big one" backup
object=$(find "$repo/objects" -type f -size +10000k)
printf damage | dd of="$object" bs=1 seek=6000000 conv=notrunc 2>/dev/null # between the frames with the little one and the manifest
is 0 "the little one is restored" recover restore latest "$source/little" --target "$tree/parts-of"
is 0 "and written to standard output" recover dump latest "$source/little"
is 0 "the list is shown" recover ls latest
is 0 "as an mtree" recover mtree latest
is 0 "and searched" recover find little
is 4 "the big one is not restored" recover restore latest "$source/much" --target "$tree/parts-big"
is 4 "nor is everything" recover restore latest --target "$tree/parts-all"

# ---- no room beside the restore's own list of files
host room none
run_bkd init p >"$tree/out" 2>&1
mkdir "$source/many" && (cd "$source/many" && seq -f 'a file of which there are so many that their names alone are something %05g' 4000 | xargs -d '\n' touch)
head -c 1200000 /dev/urandom >"$source/data"
backup >"$tree/out" 2>&1
if mkdir "$tree/small" && mount -t tmpfs -o size=2m none "$tree/small" 2>/dev/null; then
    lacks="has [0-9.]+ [KM]iB free, beside [0-9.]+ [KM]iB for the restore's own list of files; nothing was written. Set TMPDIR to a directory elsewhere, choose"
    is 7 "the list takes the room" recover restore latest --target "$tree/small/t"
    says "it says so, and where it may go" "$lacks"
    is 7 "a rehearsal finds it, too" recover restore latest --target "$tree/small/t" --dry-run
    says "and says the same" "$lacks"
    is 0 "with TMPDIR elsewhere all of it fits" env TMPDIR="$tree" "$BKD_BIN/bkd-restore" -r "$repo" -s "$config/keys/allowed_signers" restore latest --target "$tree/small/t"
    rm -rf "$tree/small/t" && head -c 1000k /dev/zero >"$tree/small/other"
    is 7 "where there is too little anyway" recover restore latest --target "$tree/small/t"
    says "another place for the list is no remedy" "own list of files; nothing was written. Choose another"
    is 7 "without a list there" env TMPDIR="$tree" "$BKD_BIN/bkd-restore" -r "$repo" -s "$config/keys/allowed_signers" restore latest --target "$tree/small/t"
    says "none is spoken of" "has [0-9.]+ [KM]iB free; nothing was written. Choose"
    umount "$tree/small"
else
    ok "no room beside the restore's own list # SKIP a small file system cannot be mounted here"
fi
finish
