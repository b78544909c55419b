#!/bin/sh
# bkd run --due, alone and together with daemons, crontabs and people: each time of a schedule once, one writer (C-14, C-15, I9).
. "${0%/*}/lib.sh"

command -v sqlite3 >/dev/null || { echo "1..0 # SKIP sqlite3 is not installed"; exit 0; }
: "${BKD_STARTS:=200}" # at the same time
daemon=
trap '[ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT
sql() { sqlite3 -cmd '.timeout 5000' "$state/catalogue.db" "$1"; }
equals() { # TITLE WANTED SQL
    got=$(sql "$3")
    if [ "$got" = "$2" ]; then ok "$1"; else echo "# $got, wanted $2"; sql "SELECT id, policy, kind, trigger, state, exit_code, slot_ns, started_ns, message FROM runs" | tail -n 12 >"$tree/out"; bad "$1"; fi
}
policy() { # NAME LINE…
    name=$1
    shift
    { printf 'sources:\n  - path: %s\nrepository: %s\nencryption: none\n' "$source" "$tree/h/repo-$name"; printf '%s\n' "$@"; } >"$config/policies/$name.yaml"
    run_bkd init "$name" >"$tree/out" 2>&1
}
# As if all schedules had come into force a day ago.
since_yesterday() { sql "UPDATE marks SET value = value - 86400 WHERE name LIKE 'schedule.since.%'; UPDATE slots SET slot_ns = slot_ns - 86400000000000"; }

host h none
rm "$config/policies/p.yaml"
echo one >"$source/one"
[ "$(date +%M%S)" -lt 5950 ] || sleep 11 # the next policies are not to become due by the hour
policy last 'schedule: "0 * * * *"' 'after: [first]'
policy first 'schedule: "0 * * * *"'
policy never
is 0 "new policies: nothing is due yet" run_bkd run --due
equals "no run was made" 0 "SELECT count(*) FROM runs"
since_yesterday
is 0 "a day later: what was missed is made up for" run_bkd run --due --json
says "in the order of \`after\`" '"policy":"first"'
equals "each policy with a schedule ran once" "first,last" "SELECT group_concat(policy) FROM (SELECT policy FROM runs WHERE exit_code = 0 AND trigger = 'due' ORDER BY started_ns)"
equals "the other times have a reason" 0 "SELECT count(*) FROM slots WHERE outcome != 'run' AND reason IS NULL"
is 0 "again: nothing is due" run_bkd run --due
equals "and nothing ran" 2 "SELECT count(*) FROM runs WHERE kind = 'backup'"

# ---- verifying by schedule ---------------------------------------------------------------------------------------------------
policy proof 'schedule: "0 * * * *"' 'verify: {schedule: "0 * * * *"}'
run_bkd run --due >"$tree/out" 2>&1
since_yesterday
is 0 "a schedule of verify: run --due verifies" run_bkd run --due --json
says "and says which" '"policy":"proof","action":"verify","exit":0'
equals "both have run, each for a time of its own schedule" "backup,verify" "SELECT group_concat(kind) FROM (SELECT DISTINCT s.action AS kind FROM slots s JOIN runs r ON s.run = r.id
    WHERE s.policy = 'proof' AND s.outcome = 'run' AND r.kind = s.action AND r.exit_code = 0 AND r.slot_ns = s.slot_ns ORDER BY 1)"
equals "not at the same time" 0 "SELECT count(*) FROM runs a JOIN runs b ON a.policy = 'proof' AND b.policy = 'proof' AND a.id != b.id WHERE a.started_ns BETWEEN b.started_ns AND b.ended_ns"
is 0 "again: nothing is due" run_bkd run --due --json
says "for it, too" '"runs":0'
rm "$config/policies/proof.yaml"

is 0 "a simulation" run_bkd prune --simulate 2 first
equals "is no run" 0 "SELECT count(*) FROM runs WHERE kind = 'prune'"

# ---- exit codes --------------------------------------------------------------------------------------------------------------
policy broken 'schedule: "0 * * * *"'
sed -i 's|path: .*|path: /nowhere/at/all|' "$config/policies/broken.yaml"
run_bkd run --due >"$tree/out" 2>&1
since_yesterday
is 1 "one of several fails: the code says so" run_bkd run --due
says "and the message which" 'policy broken: '
equals "what has succeeded since then is not run again" 2 "SELECT count(*) FROM runs WHERE policy IN ('first', 'last')"
echo 'x: y' >"$config/policies/broken.yaml"
is 2 "a file with mistakes is 2" run_bkd run --due
rm "$config/policies/broken.yaml"
is 2 "run without anything" run_bkd run
is 2 "run with both" run_bkd run first --due

# ---- everybody at once -------------------------------------------------------------------------------------------------------
policy race 'schedule: "*:*:0/5"' 'retry: {times: 0}'
"$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" daemon 2>"$tree/daemon.log" &
daemon=$!
i=0
while [ "$i" -lt "$BKD_STARTS" ]; do
    case $((i % 4)) in
    0) run_bkd backup race -q ;;
    1) BKD_TRIGGER=cron run_bkd backup race -q ;;
    2) run_bkd run --due -q ;;
    3) run_bkd run race -q ;;
    esac >/dev/null 2>>"$tree/said" &
    echo $! >>"$tree/pids"
    i=$((i + 1))
done
bad_codes=0
while read -r pid; do
    got=0
    wait "$pid" || got=$?
    case $got in 0 | 6) ;; *) bad_codes=$((bad_codes + 1)) ;; esac
done <"$tree/pids"
cp "$tree/said" "$tree/out"
if [ "$bad_codes" = 0 ]; then ok "$BKD_STARTS starts at once end with 0 or 6"; else echo "# $bad_codes others"; bad "$BKD_STARTS starts at once end with 0 or 6"; fi
kill "$daemon"
wait "$daemon"
daemon=
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ "$(sql "SELECT count(*) FROM runs WHERE state = 'running'")" = 0 ] && break
    sleep 0.5
done
equals "no run is left over" 0 "SELECT count(*) FROM runs WHERE state = 'running'"
equals "no two that wrote overlapped" 0 "SELECT count(*) FROM runs a JOIN runs b ON a.policy = b.policy AND a.id < b.id WHERE a.exit_code = 0 AND b.exit_code = 0
    AND a.snapshot = b.snapshot AND a.kind = 'backup' AND b.kind = 'backup'"
equals "each snapshot has its run" "$(run_bkd snapshots race --json | grep -c '"type":"snapshot"')" "SELECT count(*) FROM runs WHERE policy = 'race' AND exit_code = 0"
equals "no time of the schedule was run for twice" 0 "SELECT count(*) FROM (SELECT slot_ns FROM runs WHERE policy = 'race' AND slot_ns IS NOT NULL GROUP BY slot_ns HAVING count(*) > 1)"
is 0 "the repository is whole" run_bkd check race

# ---- what nobody but a person ran until now ----------------------------------------------------------------------------------
if [ -n "$faketime_library" ]; then
    host second none
    echo one >"$source/one"
    rm "$config/policies/p.yaml"
    policy by-hand 'schedule: "* * * * *"'
    is 0 "a backup by hand, two hours ago" shifted -2h "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup by-hand
    is 0 "run --due, for the first time" run_bkd run --due
    equals "makes up for what was missed since then, once" 1 "SELECT count(*) FROM runs WHERE trigger = 'due' AND exit_code = 0"
    equals "each minute has its record" 1 "SELECT max(slot_ns) / 60000000000 - min(slot_ns) / 60000000000 + 1 = count(*) AND count(*) >= 119 FROM slots"
    is 0 "under faketime it ends, too" timeout -s KILL 60 env LD_PRELOAD="$faketime_library" FAKETIME=+1h "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" run --due
    equals "and does what is due by that clock" 2 "SELECT count(*) FROM runs WHERE trigger = 'due' AND exit_code = 0"
    host third none
    echo one >"$source/one"
    rm "$config/policies/p.yaml"
    printf 'sources:\n  - path: %s\nrepository: %s\nencryption: none\nschedule: "* * * * *"\n' "$source" "$repo" >"$config/policies/made.yaml"
    is 0 "init alone, two hours ago" shifted -2h "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" init made
    is 0 "run --due, for the first time after it" run_bkd run --due
    equals "makes up for what was missed since init" 1 "SELECT count(*) FROM runs WHERE policy = 'made' AND trigger = 'due' AND exit_code = 0"
    equals "which each minute's record says" 1 "SELECT count(*) >= 119 FROM slots WHERE policy = 'made'"
else
    ok "what a person ran until now is caught up with # SKIP libfaketime is not installed"
fi
finish
