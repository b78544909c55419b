#!/bin/sh
# Snapshots of sources: what is backed up is what was there when the run began, under the source's own path; the snapshot is gone afterwards, whatever
# happened. btrfs on a loop file (as root), and commands that make a copy. Prints TAP.
. "$(dirname "$0")/lib.sh"

check() { # TITLE COMMAND…
    title=$1
    shift
    if "$@"; then ok "$title"; else bad "$title"; fi
}
not() { if "$@"; then return 1; fi; }
await() { for try in $(seq 100); do [ -e "$1" ] && return 0; sleep 0.1; done; return 1; }
start() { "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p --json >"$tree/said" 2>&1 & run=$!; }

# ---- by commands: a copy of the source, and a file that changes once it is made
snapshot_of() { # NAME SOURCE SNAPSHOT [LINE…]: host NAME with that source and snapshot
    host "$1" none
    source=$2
    mkdir -p "$source"
    { printf 'sources:\n  - path: %s\n    snapshot: %s\nrepository: %s\nencryption: none\n' "$source" "$3" "$repo"
      shift 3
      [ $# = 0 ] || printf '%s\n' "$@"; } >"$config/policies/p.yaml"
    run_bkd init p >/dev/null 2>&1
}
copy="cp -a \"\$BKD_SOURCE\" $tree/view && echo late >\"\$BKD_SOURCE/file\" && echo $tree/view"
remove="rm -rf $tree/view && echo \$BKD_SNAPSHOT_MOUNT >>$tree/released"
snapshot_of c "$tree/c/source" "{type: command, create: [sh, -c, '$copy'], release: [sh, -c, '$remove']}"
mkdir "$source/dir"
echo early >"$source/file"
echo inner >"$source/dir/file"
head -c 600000 /dev/urandom >"$source/dir/big"
is 0 "a run with a snapshot made by a command" backup
check "the snapshot is released" not test -e "$tree/view"
check "its release was told the path" grep -qx "$tree/view" "$tree/released"
check "nothing is left to release" not test -e "$state/policies/p/views"
restore 1
check "what was there when the run began is stored, under the source's own path" test "$(cat "$tree/restored$source/file")" = early
check "files in directories too" cmp -s "$source/dir/big" "$tree/restored$source/dir/big"
is 0 "a dry run" run_bkd backup p --dry-run
says "takes no snapshot, and says so" 'takes no snapshots of sources'
check "nor releases one" test "$(wc -l <"$tree/released")" = 1

snapshot_of f "$tree/f/source" "{type: command, create: [sh, -c, 'echo array offline >&2; exit 4'], release: [sh, -c, '$remove']}" \
    "hooks: {after: [sh, -c, 'echo \$BKD_RESULT \$BKD_EXIT_CODE >$tree/after']}"
echo x >"$source/file"
rm -f "$tree/released"
is 1 "a snapshot that cannot be made fails the run" backup
says "the source and the reason are named" "snapshot \(command\) of source '$source': 'sh' exited with status 4: array offline"
check "nothing was backed up" test "$(snapshots)" = 0
check "what may have been made is released" test -e "$tree/released"
check "hooks behind the run are run" test "$(cat "$tree/after")" = "failed 1"

snapshot_of r "$tree/r/source" "{type: command, create: [echo, $tree/r/source], release: [sh, -c, 'exit 9']}"
echo x >"$source/file"
is 3 "a snapshot that cannot be released: done but incomplete" backup
says "it is named" "release the snapshot \(command\) of source .* exited with status 9"
check "the snapshot of the repository is there" test "$(snapshots)" = 1
is 1 "the next run tries again and fails clearly" backup
says "before anything else" 'nothing was backed up: release the snapshot'

# ---- a run that is killed leaves one behind: the next run releases it
snapshot_of k "$tree/k/source" "{type: command, create: [sh, -c, 'mkdir $tree/view && touch $tree/view/file && echo $tree/view'], release: [sh, -c, '$remove']}" \
    "hooks: {after: [sleep, '0']}"
echo x >"$source/file"
printf '  - path: %s\n    snapshot: {type: command, create: [sh, -c, ": >%s; sleep 100"], release: ["true"]}\n' "$tree/k/second" "$tree/waits" >"$tree/second"
mkdir "$tree/k/second"
cp "$config/policies/p.yaml" "$tree/policy"
sed -i "2,3{/snapshot:/r $tree/second
}" "$config/policies/p.yaml"
start
await "$tree/waits"
kill -KILL $run
wait $run 2>/dev/null
check "a killed run leaves its snapshot" test -e "$tree/view/file"
cp "$tree/policy" "$config/policies/p.yaml"
is 0 "the next run" backup
says "tells that it releases it" 'an earlier run left 2 snapshots of sources behind'
check "and leaves none" not test -e "$tree/view"

# ---- interrupted while it is made
rm -f "$tree/waits" "$tree/released"
snapshot_of i "$tree/i/source" "{type: command, create: [sh, -c, ': >$tree/waits; sleep 100'], release: [sh, -c, '$remove']}"
echo x >"$source/file"
start
await "$tree/waits"
got=0
kill -TERM $run
wait $run || got=$?
check "SIGTERM while a snapshot is made ends the run" test $got = 1
check "and releases it" test -e "$tree/released"

# ---- btrfs
finish_without() { ok "btrfs # SKIP $1"; finish; }
[ "$(id -u)" = 0 ] || finish_without "needs root"
command -v mkfs.btrfs >/dev/null || finish_without "needs btrfs-progs"
truncate -s 256M "$tree/disk"
mkfs.btrfs -q "$tree/disk" >/dev/null 2>&1 || finish_without "mkfs.btrfs failed"
mkdir "$tree/mnt"
mount -o loop "$tree/disk" "$tree/mnt" 2>/dev/null || finish_without "btrfs cannot be mounted here"
trap 'umount "$tree/mnt"; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT
btrfs subvolume create "$tree/mnt/vol" >/dev/null
snapshot_of b "$tree/mnt/vol/erp" '{type: btrfs}'
for i in $(seq 200); do echo "$i" >"$source/file$i"; done
mkdir "$source/dir"
ln "$source/file1" "$source/dir/link"
ln -s file2 "$source/soft"
head -c 3000000 /dev/urandom >"$source/big"
sleep 0.2 # what is written within the clock's grain of a run is read again by the next one
is 0 "a run with a btrfs snapshot" backup
says "says where it reads" "is read from a snapshot at '$tree/mnt/vol/.bkd-snapshots/bkd-p-0/erp'"
check "all is read the first time" test "$(field changed_files)" -ge 200
check "no subvolume is left" test "$(btrfs subvolume list "$tree/mnt" | wc -l)" = 1
is 0 "the next night" backup
check "nothing changed" test "$(field changed_files):$(field bytes_read)" = 0:0
restore latest
listing "$source" >"$tree/want"
listing "$tree/restored$source" >"$tree/got"
check "a restore is the same: types, modes, owners, times, links, content" cmp "$tree/want" "$tree/got"
# While the run reads, the source changes: nothing of that may be in the snapshot.
printf '\0' | dd of="$source/big" conv=notrunc bs=1 seek=5 2>/dev/null
sum=$(sha256sum <"$source/big")
(while [ ! -e "$tree/stop" ]; do echo x >>"$source/file1"; echo y >"$source/dir/new"; rm -f "$source/dir/new"; done) &
writer=$!
is 0 "a run while the source changes" backup
touch "$tree/stop"
wait $writer
check "no file was unstable, none vanished" test "$(field unstable_files):$(field vanished):$(field skipped)" = 0:0:0
restore latest
check "the changed file is stored" test "$(sha256sum <"$tree/restored$source/big")" = "$sum"

# A run that is killed, then one whose snapshot's name is taken by a stranger.
sed -i "s|^    snapshot: .*|&\n  - path: $tree/mnt/vol/second\n    snapshot: {type: command, create: [sh, -c, ': >$tree/waits; sleep 100'], release: [\"true\"]}|" "$config/policies/p.yaml"
mkdir "$tree/mnt/vol/second"
rm -f "$tree/waits"
start
await "$tree/waits"
kill -KILL $run
wait $run 2>/dev/null
check "a killed run leaves its subvolume" test "$(btrfs subvolume list "$tree/mnt" | wc -l)" = 2
sed -i '/second/,+1d' "$config/policies/p.yaml"
is 0 "the next run" backup
check "removes it" test "$(btrfs subvolume list "$tree/mnt" | wc -l)" = 1
btrfs subvolume create "$tree/mnt/vol/.bkd-snapshots/bkd-p-0" >/dev/null
is 1 "a subvolume of somebody else's in the way" backup
says "is not removed: what to do is told" "is there already.*btrfs subvolume delete"
check "it is still there" test -d "$tree/mnt/vol/.bkd-snapshots/bkd-p-0"
btrfs subvolume delete "$tree/mnt/vol/.bkd-snapshots/bkd-p-0" >/dev/null
mkdir "$tree/mnt/place"
sed -i "s|{type: btrfs}|{type: btrfs, place: $tree/mnt/place}|" "$config/policies/p.yaml"
is 0 "another place" backup
says "is used" "at '$tree/mnt/place/bkd-p-0/erp'"
mkdir "$tree/elsewhere"
sed -i "s|path: $source|path: $tree/elsewhere|; s|{type: btrfs.*|{type: btrfs}|" "$config/policies/p.yaml"
is 1 "a source that is not on btrfs" backup
says "is told so" 'it is not on btrfs'

# ---- a single file, and the top of the subvolume
snapshot_of s "$tree/mnt/vol" '{type: btrfs}'
sed -i "s|path: $source|path: $source/erp/file7|" "$config/policies/p.yaml"
is 0 "a source that is a file" backup
restore 1
check "is stored under its path" test "$(cat "$tree/restored$source/erp/file7")" = 7
sed -i "s|path: .*|path: $source|" "$config/policies/p.yaml"
is 0 "the whole subvolume" backup
restore latest
check "is stored" cmp -s "$source/erp/big" "$tree/restored$source/erp/big"
check "without what the snapshot was made in" test -z "$(ls "$tree/restored$source/.bkd-snapshots")"
finish
