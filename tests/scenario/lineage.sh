#!/bin/sh
# What becomes of a chain when its repository is not what this host left: rolled back, damaged, exchanged, holding objects of lost runs. Each new
# snapshot must restore whole, or the run must say that it does not. Prints TAP. BKD_BIN is the directory of bkd and bkd-restore.
set -u
export LC_ALL=C
: "${BKD_BIN:?}"
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
number=0
ok() { number=$((number + 1)); echo "ok $number - $1"; }
bad() { number=$((number + 1)); echo "not ok $number - $1"; sed 's/^/# /' "$tree/out" 2>/dev/null | tail -n 15; }
# is STATUS TITLE COMMAND…: ends the command with that status?
is() {
    want=$1
    title=$2
    shift 2
    "$@" >"$tree/out" 2>&1
    got=$?
    if [ $got = "$want" ]; then ok "$title"; else echo "# exit $got, wanted $want"; bad "$title"; fi
}

# begin NAME ENCRYPTION: a fresh source, configuration, state and repository.
begin() {
    work=$tree/$1
    mkdir -p "$work/config/policies" "$work/source"
    printf 'description: test\nsources: [{path: %s/source}]\nrepository: %s/repository\nencryption: %s\n' "$work" "$work" "$2" >"$work/config/policies/p.yaml"
    run keys init >/dev/null 2>&1
    run -q init p 2>/dev/null
}
run() { "$BKD_BIN/bkd" --config-dir "$work/config" --state-dir "$work/state" "$@"; }
# Does the newest snapshot restore to what the source is now?
newest_is_source() {
    rm -rf "$work/restored"
    "$BKD_BIN/bkd-restore" -q -r "${1:-$work/repository}" -i "$work/config/keys/operations.txt" --signers "$work/config/keys/allowed_signers" \
        restore latest --target "$work/restored" && diff -r "$work/source" "$work/restored$work/source"
}
chain() { ls "$work/repository/heads"; }
noise() { head -c "$1" /dev/urandom >"$work/source/$2"; }
age='{recipients: recipients.txt}'

begin void "$age"
echo one >"$work/source/one"
is 0 "void head: night 1" run backup p
noise 200000 x
is 0 "void head: night 2" run backup p
printf Z | dd of="$work/repository/heads/$(chain)/2" bs=1 seek=30 conv=notrunc 2>/dev/null
is 4 "a head that was changed is an alarm" run backup p
is 4 "check says so, too" run check p
rm "$work/state/policies/p/pin"
noise 300000 a
is 0 "without the pin the chain goes on" run backup p
is 0 "what the lost snapshot had stored is stored again" newest_is_source

begin rolled-back "$age"
noise 300000 one
is 0 "roll-back: night 1" run backup p
noise 300000 two
is 0 "roll-back: night 2" run backup p
rm "$work/repository/heads/$(chain)/2"
is 4 "check notices that the newest head is gone" run check p
is 4 "backup notices, too" run backup p

begin moved "$age"
noise 300000 one
is 0 "another repository: night 1" run backup p
sed -i "s#$work/repository#$work/other#" "$work/config/policies/p.yaml"
is 0 "another repository: init" run init p
is 0 "another repository: everything is stored anew" run backup p
noise 1000 two
is 0 "another repository: next night" run backup p
is 0 "another repository: it restores" newest_is_source "$work/other"

begin lost none
echo x >"$work/source/x"
is 0 "lost run: night 1" run backup p
cp -a "$work/state" "$work/state.old"
i=0
while [ $i -lt 20 ]; do i=$((i + 1)); noise 150000 "f$i"; done
touch -d '1 hour ago' "$work/source"
is 0 "lost run: night 2" run backup p
rm -r "$work/repository/heads/$(chain)/2" "$work/state"
mv "$work/state.old" "$work/state"
is 0 "an equal object left behind is taken over" run backup p
is 0 "lost run: it restores" newest_is_source

begin missing "$age"
noise 300000 one
is 0 "missing object: night 1" run backup p
first=$(find "$work/repository/objects" -type f)
noise 300000 two
is 0 "missing object: night 2" run backup p
rm "$first"
is 4 "a missing object is told, the snapshot is made" run backup p
is 0 "and restores: what was missing is stored again" newest_is_source
is 0 "the night after is as any other" run backup p

begin refs "$age"
noise 300000 one
is 0 "damaged refs: night 1" run backup p
for refs in "$work/repository/refs/"*; do echo x >>"$refs"; done
is 4 "damaged refs are told, the snapshot is made" run backup p
is 0 "damaged refs: it restores" newest_is_source

begin sparse "$age"
truncate -s 1500M "$work/source/image"
head -c 20M /dev/urandom | dd of="$work/source/image" conv=notrunc bs=1M 2>/dev/null
is 0 "sparse image: night 1" run backup p
for block in 7 300 1111 2222 3333 4444; do
    head -c 4096 /dev/urandom | dd of="$work/source/image" bs=4096 seek=$block conv=notrunc 2>/dev/null
done
run backup p --json >"$tree/out" 2>&1
stored=$(sed -n 's/.*"bytes_stored":\([0-9]*\).*/\1/p' "$tree/out" | tail -n 1)
if [ "${stored:-99999999}" -lt 40000 ]; then ok "six changed blocks in a sparse image cost six blocks ($stored bytes)"; else bad "a sparse image gets a delta ($stored bytes)"; fi
is 0 "sparse image: it restores" newest_is_source

begin emptied "$age"
noise 3000 one
is 0 "emptied source: night 1" run backup p
rm -r "$work/state" "$work/source/one"
is 1 "an emptied source is refused without local memory, too" run backup p
is 0 "unless it is meant so" run backup p --accept-source-change

begin link "$age"
mkdir "$work/real" && rmdir "$work/source" && ln -s real "$work/source"
is 2 "a source that is a link is refused" run backup p

echo "1..$number"
