#!/bin/sh
# Renewal: what lies in mostly dead objects is stored anew, retention then removes these objects, everything restores; and what a simulation says.
. "$(dirname "$0")/lib.sh"

host one 'none' 'keep: {last: 1}' 'grace: 0s' 'renewal: {min_live: 40%, budget: 50%}'
is 0 "the policy is right" run_bkd policy check p
is 0 "a repository" run_bkd init p
objects() { find "$repo/objects" -type f | wc -l; }
stored() { find "$repo/objects" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }
write() { # FROM TO: new noise
    for i in $(seq "$1" "$2"); do head -c 30000 /dev/urandom >"$source/f$i"; done
    sleep 0.05
}

write 1 40
is 0 "first night" backup
write 1 32
is 0 "most files change" backup
is 0 "what a run would store anew is said" backup --dry-run
if [ "$(field renewed_files)" = 8 ]; then ok "a dry run counts 8 files"; else bad "a dry run counts 8 files"; fi
is 0 "nothing changes: the rest of the first object is stored anew" backup
if [ "$(field renewed_files) $(field renewed_bytes) $(field changed_files)" = "8 240000 0" ]; then ok "8 files, 240000 bytes, none of them changed"; else bad "8 files, 240000 bytes, none of them changed"; fi
before=$(stored)
is 0 "given up and removed" run_bkd prune p
sleep 1.1 # what is given up is due when its second is over
is 0 "and the rest" run_bkd prune p
after=$(stored)
echo "# $before bytes in objects, then $after; 1200000 in the source"
if [ "$after" -lt 1400000 ] && [ "$before" -gt 2300000 ]; then ok "the first object is gone"; else bad "the first object is gone"; fi
restore latest >"$tree/out" 2>&1
is 0 "the newest snapshot restores to what is there" diff -r "$source" "$tree/restored$source"
is 0 "and is sound" run_bkd check p --read-data -i "$config/keys/operations.txt"
is 0 "nothing to do: nothing is read" backup
if [ "$(field renewed_files) $(field bytes_read)" = "0 0" ]; then ok "no file is read"; else bad "no file is read"; fi

# Cut off while it stores anew: the next run does it.
write 1 24
is 0 "again most of an object dies" backup
timeout -s KILL 0.08 "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p >/dev/null 2>&1
is 0 "after a kill" backup
is 0 "given up and removed once more" run_bkd prune p
sleep 1.1 # what is given up is due when its second is over
is 0 "and the rest" run_bkd prune p
restore latest >"$tree/out" 2>&1
is 0 "it restores" diff -r "$source" "$tree/restored$source"

# Off, and where nothing is ever removed.
sed -i 's/^renewal:.*/renewal: off/' "$config/policies/p.yaml"
write 1 38
is 0 "renewal is off" backup
is 0 "so" backup
if [ "$(field renewed_files)" = 0 ]; then ok "nothing is stored anew"; else bad "nothing is stored anew"; fi
sed -i '/^renewal:/d; /^keep:/d' "$config/policies/p.yaml"
is 0 "all snapshots are kept" backup
if [ "$(field renewed_files)" = 0 ]; then ok "where nothing goes nothing is stored anew"; else bad "where nothing goes nothing is stored anew"; fi

# The simulation.
is 0 "a simulation needs no policy" run_bkd prune --simulate 30
says "it tells the rules" 'keep daily 14, weekly 8, monthly 6'
says "and the image" '^image'
is 0 "in JSON" run_bkd prune --simulate 30 --json
if [ "$(grep -c '"type":"night"' "$tree/out") $(grep -c '"type":"simulation"' "$tree/out")" = "120 4" ]; then ok "a line a night and source"; else bad "a line a night and source"; fi
printf 'keep: {daily: 3}\n' >>"$config/policies/p.yaml"
is 0 "by a policy's rules" run_bkd prune p --simulate 20 --change-rate 5%
says "they are told" 'keep daily 3; 5% of the files'
is 2 "no days" run_bkd prune --simulate 0
is 2 "no number" run_bkd prune --simulate soon
is 2 "too many" run_bkd prune --simulate 100000
is 2 "no share" run_bkd prune --simulate 10 --change-rate much
is 2 "a rate without a simulation" run_bkd prune p --change-rate 5%
finish
