#!/bin/sh
# bkd daemon: schedules, requests, reloading, its own death and that of runs (C-11, C-13, C-14, C-16, I9). Runs are slowed down by a stream that waits for a file.
. "${0%/*}/lib.sh"

command -v sqlite3 >/dev/null || { echo "1..0 # SKIP sqlite3 is not installed"; exit 0; }
daemon=
trap '[ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null; touch "$tree/go" 2>/dev/null; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT

sql() { sqlite3 -cmd '.timeout 5000' "$state/catalogue.db" "$1"; }
# until_true SECONDS COMMAND…: waits for it, several times a second; four times as long where the machine is busy with other things.
until_true() {
    left=$(($1 * 40))
    shift
    while [ "$left" -gt 0 ]; do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
        left=$((left - 1))
    done
    return 1
}
comes() { # TITLE SECONDS COMMAND…
    title=$1
    shift
    if until_true "$@"; then ok "$title"; else tail -n 10 "$tree/daemon.log" >"$tree/out"; bad "$title"; fi
}
me=$(id -un 2>/dev/null) || me="user $(id -u)"
count_is() { [ "$(sql "$1")" = "$2" ]; }
count_above() { [ "$(sql "$1")" -gt "$2" ]; }
logged() { grep -Eq -- "$1" "$tree/daemon.log"; }
start_daemon() { # its process is $daemon
    : >"$tree/daemon.log"
    "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" daemon "$@" 2>"$tree/daemon.log" &
    daemon=$!
    until_true 20 logged '^ready; '
}
end_daemon() { # in at most 10 s, with 0
    before=$(date +%s)
    kill -TERM "$daemon"
    got=0
    wait "$daemon" || got=$?
    daemon=
    took=$(($(date +%s) - before))
    [ "$got" = 0 ] && [ "$took" -le 10 ]
}
# policy NAME LINE…: as p.yaml of lib.sh, with a repository of its own.
policy() {
    name=$1
    shift
    { printf 'sources:\n  - path: %s\nrepository: %s\nencryption: none\n' "$source" "$tree/h/repo-$name"
      [ $# = 0 ] || printf '%s\n' "$@"; } >"$config/policies/.new"
    mv "$config/policies/.new" "$config/policies/$name.yaml"
}

host h none
echo one >"$source/one"
rm "$config/policies/p.yaml"
policy quick 'schedule: "*:*:*"' 'retry: {times: 0}'
# Its run lasts until the file `go` is there.
policy slow
printf 'sources:\n  - stream: {name: wait, command: [sh, -c, "while [ ! -e %s ]; do sleep 0.1; done; echo done"]}\nrepository: %s\nencryption: none\n' \
    "$tree/go" "$tree/h/repo-slow" >"$config/policies/slow.yaml"
for name in quick slow; do run_bkd init $name >"$tree/out" 2>&1; done

# ---- one daemon, and what it does by itself ----------------------------------------------------------------------------------
if start_daemon; then ok "the daemon starts"; else bad "the daemon starts"; fi
is 6 "a second daemon is refused" run_bkd daemon
says "and told who holds the lock" "process $daemon\$"
is_small() { [ "$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$daemon/status")" -le 16384 ]; }
if ldd "$BKD_BIN/bkd" | grep -Eq 'lib(a|t|ub)san'; then
    ok "it takes at most 16 MiB # SKIP sanitizers take more"
else
    comes "it takes at most 16 MiB" 20 is_small
fi
comes "a policy runs by its schedule" 20 count_above "SELECT count(*) FROM runs WHERE policy = 'quick' AND trigger = 'daemon' AND exit_code = 0" 1
comes "each run has its slot" 5 count_above "SELECT count(*) FROM slots s JOIN runs r ON s.run = r.id WHERE s.outcome = 'run' AND r.slot_ns = s.slot_ns" 0

# ---- pause and resume --------------------------------------------------------------------------------------------------------
is 0 "pause" run_bkd pause quick --reason "moving house" --for 1h
until_true 10 count_is "SELECT count(*) FROM runs WHERE state = 'running'" 0
paused=$(sql "SELECT count(*) FROM runs WHERE policy = 'quick'")
sleep 2.2
if [ "$(sql "SELECT count(*) FROM runs WHERE policy = 'quick'")" = "$paused" ]; then ok "nothing runs while it is paused"; else bad "nothing runs while it is paused"; fi
comes "its times are recorded as skipped" 5 count_above "SELECT count(*) FROM slots WHERE policy = 'quick' AND outcome = 'skipped' AND reason LIKE '%pause%'" 0
is 2 "a pause that ends in the past is refused" run_bkd pause quick --until 2001-01-01
is 2 "so is one of a policy that is not there" run_bkd pause quik
is 0 "resume" run_bkd resume quick
comes "it runs again" 10 count_above "SELECT count(*) FROM runs WHERE policy = 'quick'" "$paused"

# ---- files that change -------------------------------------------------------------------------------------------------------
cp "$config/policies/quick.yaml" "$tree/good.yaml"
echo 'sorces: [/nowhere]' >"$config/policies/quick.yaml"
comes "a file with mistakes raises an alarm" 10 count_is "SELECT count(*) FROM alarms WHERE kind = 'policy-invalid' AND policy = 'quick' AND cleared_ns IS NULL" 1
before=$(sql "SELECT count(*) FROM runs WHERE policy = 'quick' AND exit_code = 0")
comes "and its version before goes on" 10 count_above "SELECT count(*) FROM runs WHERE policy = 'quick' AND exit_code = 0" "$((before + 1))"
cp "$tree/good.yaml" "$config/policies/quick.yaml"
comes "good again, the alarm is over" 10 count_is "SELECT count(*) FROM alarms WHERE kind = 'policy-invalid' AND cleared_ns IS NULL" 0
policy third 'schedule: "*:*:*"'
run_bkd init third >"$tree/out" 2>&1
comes "a new policy is followed" 15 count_above "SELECT count(*) FROM runs WHERE policy = 'third' AND trigger = 'daemon' AND exit_code = 0" 0
rm "$config/policies/third.yaml" "$config/policies/quick.yaml"
comes "so is one that is removed" 10 logged 'read anew: 1 '
until_true 10 count_is "SELECT count(*) FROM runs WHERE state = 'running'" 0

# ---- people ask --------------------------------------------------------------------------------------------------------------
rm -f "$tree/go"
is 0 "run: the daemon starts it" run_bkd run slow
comes "it is at work" 10 count_is "SELECT count(*) FROM runs WHERE policy = 'slow' AND state = 'running'" 1
is 6 "run again: it is at work already" run_bkd run slow
is 6 "so finds a backup by hand" run_bkd backup slow
is 2 "run of a policy that is not there" run_bkd run nothing
is 2 "run of an action that is none" run_bkd run slow --action rollback
is 0 "cancel" run_bkd cancel slow
comes "it ends, and the record says who did it" 15 count_is "SELECT count(*) FROM runs WHERE policy = 'slow' AND state = 'ended' AND message LIKE 'cancelled by $me%'" 1
is 1 "cancel of what is not at work" run_bkd cancel slow
touch "$tree/go"
# --foreground: else timeout sends a signal twice, and the second one ends at once.
timeout --foreground --preserve-status -s INT 30 "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" status --watch --json >"$tree/watch.log" 2>&1 &
watch=$!
until_true 10 grep -q '"type":"summary"' "$tree/watch.log"
is 0 "run --wait" run_bkd run slow --wait --json
says "tells the end" '"type":"ended".*"exit":0'
comes "status --watch shows what has changed" 20 sh -c "[ \$(grep -c '\"policy\":\"slow\"' '$tree/watch.log') -ge 2 ]"
kill -INT "$watch"
got=0
wait "$watch" || got=$?
if [ "$got" = 0 ]; then ok "and ends with Ctrl-C"; else bad "and ends with Ctrl-C ($got)"; fi

# ---- the daemon dies, the run goes on ----------------------------------------------------------------------------------------
rm -f "$tree/go"
run_bkd run slow >"$tree/out" 2>&1
until_true 10 count_is "SELECT count(*) FROM runs WHERE policy = 'slow' AND state = 'running'" 1
run=$(sql "SELECT max(id) FROM runs WHERE policy = 'slow' AND state = 'running'")
pid=$(sql "SELECT pid FROM runs WHERE id = $run")
kill -9 "$daemon"
wait "$daemon" 2>/dev/null
if alive "$pid"; then ok "kill -9 of the daemon: the run goes on"; else bad "kill -9 of the daemon: the run goes on"; fi
start_daemon
if logged 'at work: 1'; then ok "the next daemon finds it"; else cp "$tree/daemon.log" "$tree/out"; bad "the next daemon finds it"; fi
is 6 "and starts it no second time" run_bkd run slow
if end_daemon; then ok "SIGTERM: the daemon ends within 10 s, with 0"; else bad "SIGTERM: the daemon ends within 10 s, with 0 ($got, $took s)"; fi
if alive "$pid" && logged 'goes on by itself'; then ok "the run goes on, and is told"; else bad "the run goes on, and is told"; fi
start_daemon --stop-runs
touch "$tree/go"
comes "its end is recorded once" 15 count_is "SELECT state || exit_code FROM runs WHERE id = $run" ended0
comes "and seen by the daemon that did not start it" 10 logged 'slow: backup is done'

rm -f "$tree/go"
run_bkd run slow >"$tree/out" 2>&1
until_true 10 count_is "SELECT count(*) FROM runs WHERE policy = 'slow' AND state = 'running'" 1
if end_daemon; then ok "--stop-runs: it ends within 10 s"; else bad "--stop-runs: it ends within 10 s ($got, $took s)"; fi
if [ "$(sql "SELECT count(*) FROM runs WHERE state = 'running'")" = 0 ]; then ok "and so does the run"; else bad "and so does the run"; fi

# ---- a run dies: once more, and only once ------------------------------------------------------------------------------------
printf 'schedule: "*:*:0/4"\nretry: {times: 1, delay: 1s}\n' >>"$config/policies/slow.yaml"
start_daemon
comes "a slow policy with a schedule is at work" 15 count_is "SELECT count(*) FROM runs WHERE policy = 'slow' AND state = 'running'" 1
run=$(sql "SELECT max(id) FROM runs WHERE policy = 'slow' AND state = 'running'")
slot=$(sql "SELECT slot_ns FROM runs WHERE id = $run")
kill -9 "$(sql "SELECT pid FROM runs WHERE id = $run")"
comes "a killed run is recorded as that" 10 count_is "SELECT state FROM runs WHERE id = $run" killed
touch "$tree/go"
comes "and what it should have done is done" 15 count_above "SELECT count(*) FROM runs WHERE policy = 'slow' AND slot_ns >= $slot AND exit_code = 0" 0
is 0 "no run serves a slot that another has served" count_is "SELECT count(*) FROM (SELECT slot_ns FROM runs WHERE slot_ns IS NOT NULL AND exit_code = 0 GROUP BY policy, slot_ns HAVING count(*) > 1)" 0
is 0 "no two runs of a policy overlapped" count_is "SELECT count(*) FROM runs a JOIN runs b ON a.policy = b.policy AND a.id < b.id AND b.exit_code IN (0, 3) AND a.exit_code IN (0, 3)
    AND a.started_ns < b.ended_ns AND b.started_ns < a.ended_ns" 0
kill -HUP "$daemon"
comes "SIGHUP: policies are read anew" 10 logged 'read anew'
if end_daemon; then ok "the daemon ends"; else bad "the daemon ends"; fi
is 1 "cancel without a daemon, and nothing at work" run_bkd cancel slow
rm -f "$tree/go"
run_bkd backup slow >"$tree/backup.log" 2>&1 &
backup=$!
until_true 10 count_is "SELECT count(*) FROM runs WHERE policy = 'slow' AND state = 'running'" 1
is 0 "cancel of a person's run, without a daemon" run_bkd cancel slow
got=0
wait "$backup" || got=$?
cp "$tree/backup.log" "$tree/out"
if [ "$got" = 1 ]; then ok "ends it"; else bad "ends it ($got)"; fi
is 0 "and says by whom" count_is "SELECT count(*) FROM events WHERE kind = 'cancelled' AND policy = 'slow' AND text LIKE '%by $me%'" 1
touch "$tree/go"
is 0 "run without a daemon runs here" run_bkd run slow
finish
