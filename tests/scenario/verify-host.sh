#!/bin/sh
# A host that only verifies what another one stores: its policy has no sources, its repository is the other's copy, its proofs come home when the other ships.
# Prints TAP. BKD_BIN is the directory of bkd and bkd-restore.
. "$(dirname "$0")/lib.sh"

select_host() { home=$tree/$1 state=$tree/$1/state config=$tree/$1/config; }
value() { sed -n "s/.*\"$1\":\\([0-9a-z.]*\\).*/\\1/p" "$tree/out" | tail -n 1; }
fits() { if eval "$2"; then ok "$1"; else bad "$1"; fi; } # TITLE TEST

copy=$tree/copy
mkdir "$tree/scratch"
host erp "{allow_single_recipient: false}" "offsite: [$copy]" "objectives: {rpo: 24h, rto: 1h}" "verify: {scratch: $tree/scratch}" "grace: 1s" "keep: {last: 2}"
mkdir "$source/srv"
for i in 1 2 3 4 5 6 7 8; do seq "$i" $((i * 1000)) >"$source/srv/$i"; done
run_bkd init p >/dev/null 2>&1
is 0 "the host that is backed up makes a snapshot and a copy" backup

# The other host: keys of its own, the operations identity of the first, and each believes the other.
select_host other
mkdir -p "$config/policies"
run_bkd keys init >"$tree/out" 2>&1
mv "$tree/erp/config/keys/operations.txt" "$config/keys/operations.txt"
cat "$tree/erp/config/keys/allowed_signers" >>"$config/keys/allowed_signers"
policy() { { printf 'repository: %s\n' "$copy"; printf '%s\n' "$@"; } >"$config/policies/p.yaml"; }
policy "objectives: {rpo: 24h, rto: 1h}"
is 2 "no sources and nothing to verify is a mistake" run_bkd policy check p
says "which is named" "'sources' is missing"
policy 'schedule: "0 5 * * *"' "verify: {mode: full}"
is 2 "so is a schedule of backups without sources" run_bkd policy check p
says "which is named, too" "no 'sources'"
policy "objectives: {rpo: 24h, rto: 1h}" "verify: {schedule: \"0 5 * * 0\", from: offsite, mode: full, scratch: $tree/scratch}"
is 0 "a policy without sources that verifies" run_bkd policy check p
run_bkd policy show p >"$tree/shown.yaml" 2>&1
is 0 "can be shown" run_bkd policy show p
says_not "without sources" '^sources'
is 2 "it backs up nothing" run_bkd backup p
says "and says so" 'has no sources'
is 2 "nor does it make a repository" run_bkd init p
is 0 "it proves the copy" run_bkd verify p --json
says "as what it is" '"proven":true'
is 0 "its own catalogue knows" run_bkd rto p --json
says "of one run" '"runs":1,'
run_bkd status >"$tree/out" 2>&1
says "status says that it verifies" 'verifies: '

cp -a "$copy" "$tree/older"

select_host erp
run_bkd rpo p --json >"$tree/out" 2>&1
says "at home nothing is proven yet" '"proven_ms":null'
run_bkd ship p >"$tree/out" 2>&1
says_not "who is not believed proves nothing" 'not taken in'
run_bkd rpo p --json >"$tree/out" 2>&1
says "and counts for nothing" '"proven_ms":null'
grep record "$tree/other/config/keys/allowed_signers" | grep -vxFf "$config/keys/allowed_signers" >>"$config/keys/allowed_signers"
is 0 "once it is believed, a check of the copy" run_bkd check p --from "$copy"
is 0 "brings the proof home" run_bkd rto p --json
says "as one of the copy" "\"from\":\"$copy\",\"runs\":1,"
run_bkd rpo p --json >"$tree/out" 2>&1
says "so that the copy's newest snapshot counts as proven" '"proven_ms":[0-9]+,.*"proven_snapshot":1[,}]'
is 0 "again" run_bkd ship p
run_bkd rto p --json >"$tree/out" 2>&1
says "each proof once" '"runs":1,'
is 0 "the copy is whole, with the other's records" run_bkd check p --from "$copy"

# ---- what was given up
for i in 1 2 3; do
    seq "$i" >"$source/srv/new"
    backup >"$tree/out" 2>&1
done
is 0 "old snapshots are given up, but not the one that was proven" run_bkd prune p
sleep 3 # records tell whole seconds
is 0 "and removed" run_bkd prune p
cp "$tree/other/config/keys/operations.txt" "$config/keys/operations.txt"
is 1 "what was removed cannot be verified" run_bkd verify p --from repository --snapshot 2 --json
says "which is no alarm, and says why" 'snapshot 2 is no more at .*given up'
drawn=
for _ in 1 2 3 4 5 6 7 8; do
    run_bkd verify p --from repository --snapshot random --sample 1 --json >"$tree/out" 2>&1
    drawn="$drawn $(value snapshot)"
done
fits "and is never drawn at random:$drawn" '[ -z "$(echo "$drawn" | tr -d " 134")" ] && [ "$(echo "$drawn" | wc -w)" = 8 ]'

is 0 "what samples drew" run_bkd rto --json
says "counts together, for all policies" '"samples":\{"days":30,"nights":8,"drawn_files":8,"bad_files":0,"bad_share_at_most":0\.31'
is 0 "what would be lost, of all policies" run_bkd rpo --json
says "is told" '"type":"rpo","schema":1,"policy":"p"'
is 0 "an estimate" run_bkd estimate p --json
says "of all four disasters" '"scenario":"disk-loss","from":"[^"]*repository"'
says "from what would be left" '"scenario":"host-loss","from":"[^"]*copy"'
says "which is marked as beyond what was measured" '"extrapolated":true'
says "with its own error" '"model":\{"runs":8,.*"tested":5,"median_error":[0-9.e-]+,"worst_error":'
says "and what it said of the last ones, beside what they took" '"type":"estimate_test",.*"told_ms":[0-9]+,"took_ms":[0-9]+,"error":'
run_bkd estimate p --scenario site-loss --link 8kbit/s --arrival 1h --json >"$tree/out" 2>&1
says "people and a slow line are counted" '"parts":\{"people_ms":3600000,.*"line_ms":[0-9]{3,},.*"bottleneck":"people"'
fits "the estimate lies in its interval" '[ "$(value low_ms)" -le "$(value likely_ms)" ] && [ "$(value likely_ms)" -le "$(value high_ms)" ] && [ "$(value likely_ms)" -ge 3600000 ]'
is 2 "a disaster that is none" run_bkd estimate p --scenario flood
is 2 "a line that is none" run_bkd estimate p --link fast
sed -i "s|^offsite: .*|offsite: []|" "$config/policies/p.yaml"
is 0 "without a copy elsewhere" run_bkd estimate p --scenario host-loss
says "nothing is left" 'nothing would be left'
sed -i "s|^offsite: .*|offsite: [$copy]|" "$config/policies/p.yaml"
sed -i "s|^verify: .*|verify: {scratch: $tree/scratch, schedule: \"0 0 1 1 *\"}|" "$config/policies/p.yaml"
run_bkd status --json >"$tree/out" 2>&1
says_not "a proof that is young enough is no alarm" 'proof-overdue'
says "status tells what was measured" '"rto_ms":3600000,"rto_measured_ms":[0-9]+'
with() { sed -i "s|^verify: .*|verify: {scratch: $tree/scratch, from: repository$1}|" "$config/policies/p.yaml"; }

# ---- what counts as proven
with ", checks: [{type: command, run: ['false']}]"
is 4 "the newest is restored from the copy, and its check fails" run_bkd verify p --from "$copy"
with ""
is 0 "a restore from here" run_bkd verify p --snapshot latest
is 0 "a sample from the copy" run_bkd verify p --from "$copy" --sample 2
is 0 "what would be lost" run_bkd rpo p --json
says "is none the less for any of them" '"newest_snapshot":4,"offsite_snapshot":4,"proven_snapshot":1[,}]'
is 0 "a whole restore from the copy" run_bkd verify p --from "$copy"
is 0 "is what counts" run_bkd rpo p --json
says "for the snapshot that came back" '"proven_snapshot":4[,}]'

# ---- a copy that goes back to an older state, which is sound in itself
select_host other
is 0 "the host that verifies sees the newest snapshot" run_bkd verify p
mv "$copy" "$tree/newer"
cp -a "$tree/older" "$copy"
is 4 "and refuses to prove an older one in its place" run_bkd verify p --json
says "by what it has seen" "rolled back, damaged or exchanged: 'heads/[0-9a-f]*/4', the newest head that this host has seen there"
is 4 "a check finds it, too" run_bkd check p
is 0 "an older one is proven when it is asked for by number" run_bkd verify p --snapshot 1
is 4 "which does not make it the newest" run_bkd verify p
rm -r "$copy"
mv "$tree/newer" "$copy"
is 0 "until it is back" run_bkd verify p
run_bkd catalogue rebuild >"$tree/out" 2>&1
run_bkd metrics >"$tree/out" 2>&1
says "a catalogue that is rebuilt knows it as the repository" "^bkd_snapshot_number\{.*copy=\"$copy\",disk=\"\",role=\"repository\"\} 4$"
mv "$copy" "$tree/newer"
printf '%s\n' "repository: $tree/own" "sources: [$source/srv]" "offsite: [$copy]" "encryption: {allow_single_recipient: false}" >"$config/policies/p.yaml"
run_bkd init p >/dev/null 2>&1
is 0 "what was only seen at a place is not missed there by the same policy once it backs up" backup
is 0 "which remembers what it brought" grep -q "\"url\":\"$copy\".*\"snapshot\":1," "$state/policies/p/copies"
rm -r "$copy"
mv "$tree/newer" "$copy"
select_host erp

# ---- what does not end, what stays behind, what is damaged
with ", timeout: 10min, checks: [{type: command, run: [sh, -c, 'setsid sleep 3217 >/dev/null 2>\&1 \& exit 0']}]"
is 0 "a check that leaves a daemon passes" run_bkd verify p
fits "and the daemon is ended" '! pgrep -f "sleep 3217" >/dev/null'
with ", checks: [{type: command, run: [sleep, '3218']}]"
"$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" verify p >"$tree/out" 2>&1 &
pid=$!
for _ in $(seq 100); do pgrep -f "sleep 3218" >/dev/null && break; sleep 0.1; done
kill -TERM $pid
wait $pid
fits "one that is told to stop proves nothing" 'grep -q "nothing is proven" "$tree/out"'
fits "and leaves nothing" '[ -z "$(ls -A "$tree/scratch")" ] && ! pgrep -f "sleep 3218" >/dev/null'
with ""
head=$(ls "$repo"/heads/*/4)
chmod u+w "$head"
printf 'x' | dd of="$head" bs=1 seek=200 conv=notrunc 2>/dev/null
is 4 "a newest head that is damaged does not hide behind the one before" run_bkd verify p
says "and is named" 'the head of snapshot 4 .*not as it was signed'

finish
