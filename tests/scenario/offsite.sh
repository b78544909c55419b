#!/bin/sh
# Copies in other places: on a real sshd, in a directory, on disks that take turns. They follow each backup, catch up, are never needed for a backup to
# succeed, and notice what was taken from them. Prints TAP. BKD_SEED=N repeats another sequence, BKD_KILLS=N changes the number of kills.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd.sh"
sshd_available || { echo "1..0 # skip $sshd_missing"; exit 77; }

sshd_start vault "Subsystem sftp internal-sftp" "MaxStartups 100"
far="sftp://$sshd_user@127.0.0.1:$sshd_port$sshd_dir/copy"
near=$tree/second
disk=$tree/mnt/bkd
host source "{recipients: recipients.txt}" "offsite:" "  - url: $far" "  - url: $near" "  - {url: $disk, removable: true, max_age: 2d}"
sshd_keys "$config/keys"
from() { where=$1; shift; "$BKD_BIN/bkd-restore" -r "$where" -i "$config/keys/operations.txt" -s "$config/keys/allowed_signers" \
    --ssh-identity "$config/keys/ssh_ed25519" --known-hosts "$config/keys/known_hosts" "$@"; }
same_from() { # PLACE SNAPSHOT
    rm -rf "$tree/restored"
    from "$1" restore "$2" --target "$tree/restored" -q && diff -r "$source" "$tree/restored$source"
}
numbers() { from "$1" list --json 2>/dev/null | grep -c '"state":"good"'; }

# ---- the first nights
head -c 9000000 /dev/urandom >"$source/image"
seq 1 20000 >"$source/table"
is 0 "the servers of the policy's copies are pinned" run_bkd trust-host p --yes
is 0 "init" run_bkd init p
is 5 "a backup whose disk never was there ends with an alarm" backup
says "the far copy is current" "\"url\":\"$far\",\"state\":\"current\""
says "the near one, too" "\"url\":\"$near\",\"state\":\"current\""
says "the disk is away, and overdue" "\"url\":\"$disk\",\"state\":\"away\",\"overdue\":true"
is 0 "the far copy restores alone" same_from "$far" latest
is 0 "the near one" same_from "$near" latest
is 0 "stock tools read the copy" env BKD_SIGNERS="$config/keys/allowed_signers" sh "$near/recover.sh" "$near" "$config/keys/operations.txt" latest "$tree/byhand"
is 0 "and give the same" diff -r "$source" "$tree/byhand$source"

# ---- disks that take turns
mkdir -p "$tree/disk-a" "$tree/disk-b" "$tree/mnt"
insert() { rm -f "$tree/mnt/bkd"; ln -s "$tree/$1" "$tree/mnt/bkd"; }
insert disk-a
is 5 "an unknown disk is not written to" run_bkd ship p --to "$disk"
says "and the next step is told" "bkd ship p --to $disk --init"
is 0 "made known" run_bkd ship p --to "$disk" --init
rm "$tree/mnt/bkd"
echo more >>"$source/table"
is 0 "a backup without the disk succeeds" backup
is 0 "and pruning everywhere passes it over" run_bkd prune p --all
says "with a word" "$disk: its disk is not here"
insert disk-b
is 0 "a second disk" run_bkd ship p --to "$disk" --init
insert disk-a
is 0 "the first one catches up" run_bkd ship p --to "$disk"
is 0 "it restores" same_from "$tree/disk-a" latest
run_bkd status p 2>&1 | tr -s '\n ' ' ' >"$tree/out"
says "status shows both" "$disk, disk [0-9a-f]{8}: snapshot 2"
[ "$(grep -o "$disk, disk" "$tree/out" | wc -l)" = 2 ] && ok "each for itself" || bad "each for itself"

# ---- a line that is down for a week
sshd_stop
for night in 3 4 5; do
    echo "night $night" >>"$source/table"
    head -c 300000 /dev/urandom | dd of="$source/image" bs=4096 seek=$((night * 50)) conv=notrunc status=none
    is 0 "night $night succeeds without the far copy" backup
done
says "which is told" "\"state\":\"unreachable\""
run_bkd status p --json >"$tree/out" 2>&1
says "and remembered" '"failing_since":"[^"]*","failures":3'
is 8 "ship says that it cannot" run_bkd ship p --to "$far"
sshd_run
is 0 "it catches up" run_bkd ship p --to "$far"
[ "$(numbers "$far")" = 5 ] && ok "with every snapshot" || bad "with every snapshot"
is 0 "which restores" same_from "$far" latest
is 0 "nothing is left to do" run_bkd ship p --to "$far" --json
says "nothing was sent" '"snapshots":0,"objects":0,"bytes":0'
[ "$(tail -n 1 "$tree/out" | grep -c '"type":"summary".*"copies":1,"current":1,')" = 1 ] && ok "and a summary is the last line" || bad "and a summary is the last line"

# ---- what names comes after what is named: a file's ctime is when it got its name
order() { # PLACE
    for kind in objects refs records heads; do find "$1/$kind" -type f -cnewer "$tree/stamp" -printf "%C@ $kind\n"; done | sort -s -n -k 1,1 | cut -d' ' -f2 | uniq | tr '\n' ' '
}
echo "in order" >>"$source/table"
is 0 "a night" backup --no-ship
is 0 "with a record" run_bkd tag p latest in-order
touch "$tree/stamp"
sleep 0.1
is 0 "shipped" run_bkd ship p
for place in "$sshd_dir/copy" "$near"; do
    [ "$(order "$place")" = "objects refs records heads " ] && ok "objects, refs, records, head" || { order "$place" >"$tree/out"; bad "objects, refs, records, head"; }
done

# ---- killed at any moment
kills=${BKD_KILLS:-15}
bad_kills=0
for k in $(seq 1 "$kills"); do
    head -c 6000000 /dev/urandom >"$source/new"
    backup --no-ship >"$tree/out" 2>&1 || bad_kills=$((bad_kills + 1))
    draw 400
    (exec "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" ship p --to "$far" -q) >"$tree/out" 2>&1 &
    victim=$!
    sleep "0.$(printf %03d "$drawn")"
    if [ $((k % 2)) = 0 ]; then kill -KILL $victim; else pkill -KILL -P "$(cat "$sshd_dir/pid")"; fi 2>/dev/null
    wait $victim 2>/dev/null
    from "$far" check --quick >"$tree/out" 2>&1 || { bad_kills=$((bad_kills + 1)); tail -n 3 "$tree/out" | sed 's/^/# /'; }
done
[ $bad_kills = 0 ] && ok "after each of $kills kills the copy is a good one" || bad "after each of $kills kills the copy is a good one"
is 0 "the rest is brought" run_bkd ship p --to "$far"
is 0 "the newest snapshot restores" same_from "$far" latest
is 0 "all of it is right" from "$far" check --read-data

# ---- what is taken away, or changed
chain=$(ls "$near/heads")
mv "$near/heads/$chain/2" "$tree/taken"
is 4 "a head that vanished from a copy is noticed" run_bkd ship p --to "$near"
says "as such" "had been there were missing"
is 0 "and was brought again" cmp "$tree/taken" "$near/heads/$chain/2"
# A large object that the newest snapshot needs.
newest_refs() { sed -n 's/^refs \([0-9a-f]*\).*/\1/p' "$near/heads/$chain/$(ls "$near/heads/$chain" | sort -n | tail -n 1)"; } # several may have come within one tick of the clock
needed=$near/refs/$(newest_refs)
object=$(cd "$near" && find objects -type f -size +1000k | while read -r name; do grep -q "$(basename "$name" | cut -c 1-64)" "$needed" && echo "$name"; done | head -n 1)
mv "$near/$object" "$tree/object"
is 4 "an object that vanished, which the next snapshot would build on, is noticed by --dry-run" run_bkd ship p --to "$near" --dry-run
says "as missing" "1 objects that had been there are missing"
echo once more >>"$source/table"
is 4 "and by the next backup" backup
says "which tells it" '"lost_objects":1'
is 0 "and brings it again" cmp "$tree/object" "$near/$object"
is 0 "so that the new snapshot restores" same_from "$near" latest
chmod u+w "$near/$object"
truncate -s 1000 "$near/$object"
is 4 "a cut one is an alarm" run_bkd ship p --to "$near"
says "that names it" "$object' in $near has 1000 bytes"
rm "$near/$object"
is 4 "moved away, it is brought" run_bkd ship p --to "$near"
head -c 400000 /dev/urandom >"$source/fresh"
is 0 "a further night" backup --no-ship
fresh=$(cd "$repo" && find objects -type f -size +300k | while read -r name; do [ -e "$near/$name" ] || echo "$name"; done | head -n 1)
mkdir -p "$(dirname "$near/$fresh")"
cp "$repo/$fresh" "$near/$fresh"
chmod u+w "$near/$fresh"
printf X | dd of="$near/$fresh" bs=1 seek=100000 conv=notrunc status=none
is 4 "what a damaged place holds already is not believed to be what was sent" run_bkd ship p --to "$near"
says "and named" "$fresh' in $near is not as it was sent"
rm "$near/$fresh"
refs=refs/$(newest_refs)
cp "$near/$refs" "$tree/refs"
chmod u+w "$near/$refs"
echo damage >>"$near/$refs"
is 4 "nor are its newest refs" run_bkd ship p --to "$near"
says "and named" "$refs' in $near is damaged"
rm "$near/$refs"
is 0 "and all is well" run_bkd ship p --to "$near"
newest=$(ls "$near/heads/$chain" | sort -n | tail -n 1)
cp "$near/heads/$chain/$newest" "$tree/kept"
sed 's/^files .*/files 7/' "$tree/kept" >"$near/heads/$chain/$newest"
is 4 "a changed head is noticed" run_bkd ship p --to "$near"
cp "$tree/kept" "$near/heads/$chain/$newest"
mv "$near" "$tree/gone"
is 4 "a copy that is gone is not made anew in silence" run_bkd ship p --to "$near"
says "but when asked to" "bkd ship p --to $near --init"
is 4 "bkd status says so at once" run_bkd status p
is 0 "then it is" run_bkd ship p --to "$near" --init
is 0 "and restores" same_from "$near" latest
cp "$tree/kept" "$near/heads/$chain/$((newest + 7))"
is 4 "snapshots that this host never made are an alarm" run_bkd ship p --to "$near"
rm "$near/heads/$chain/$((newest + 7))"

# ---- mistakes of a person
mv "$near" "$tree/gone2"
ln -s "$repo" "$near"
is 4 "a copy that leads to the repository itself is none" run_bkd ship p --to "$near"
says "which is told" "leads to the repository itself"
rm "$near"
mv "$tree/gone2" "$near"
is 2 "a place that is no copy" run_bkd ship p --to /nowhere
says "the copies are named" "$near"
is 0 "a rehearsal" run_bkd ship p --dry-run --to "$near"
sed -i '/^offsite:/,$d' "$config/policies/p.yaml"
is 2 "a policy without copies" run_bkd ship p
sshd_stop

# ---- a copy without max_age may be as old as the policy promises
if [ -n "$faketime_library" ]; then
    host aging none 'objectives: {rpo: 1h}' 'offsite:' "  - url: $tree/aging-copy"
    later() { shift_by=$1; shift; shifted "$shift_by" "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" "$@" >"$tree/out" 2>&1; true; }
    run_bkd init p >"$tree/out" 2>&1
    is 0 "a copy" backup
    mv "$tree/aging-copy" "$tree/aging-away"
    echo more >"$source/more"
    is 4 "a night that finds it gone" backup
    later +30m ship p --json
    says "half an hour later it is not overdue" '"overdue":false'
    later +30m status p --json
    says "status says so, too" '"overdue":false'
    later +90m ship p --json
    says "an hour later it is" '"overdue":true'
    later +90m status p --json
    says "for status, too" '"overdue":true'
else
    ok "a copy without max_age # SKIP libfaketime is not installed"
fi
finish
