#!/bin/sh
# The clock under a daemon that works: set back over a time of the schedule, forward over several, ahead by years and back (C-31); and what ends with its window.
# The clock is a library that is loaded before all others; the daemon does not notice its changes as it does real ones: a request wakes it.
. "${0%/*}/lib.sh"

command -v sqlite3 >/dev/null || { echo "1..0 # SKIP sqlite3 is not installed"; exit 0; }
command -v cc >/dev/null || { echo "1..0 # SKIP there is no compiler"; exit 0; }
daemon=
trap '[ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null; touch "$tree/go" 2>/dev/null; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT
cc -shared -fPIC -O1 -Wall -Wextra -Werror -o "$tree/shifted_clock.so" "${0%/*}/shifted_clock.c" || exit 1
sql() { sqlite3 -cmd '.timeout 5000' "$state/catalogue.db" "$1"; }
shifted() { CLOCK_SHIFT=$tree/shift LD_PRELOAD=$tree/shifted_clock.so exec "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" "$@"; }
bkd_then() { (shifted "$@"); }
# set_clock SECONDS: after the beginning of the day after tomorrow. It goes on from there.
day=$((($(date +%s) / 86400 + 2) * 86400))
set_clock() {
    echo "$((day + $1 - $(date +%s)))" >"$tree/shift.new"
    mv "$tree/shift.new" "$tree/shift"
}
wake() { bkd_then resume hourly >"$tree/out" 2>&1; }
count_is() { [ "$(sql "$1" 2>/dev/null)" = "$2" ]; }
comes() { # TITLE SECONDS SQL WANTED
    left=$(($2 * 40)) # four times as long where the machine is busy with other things
    while [ "$left" -gt 0 ] && ! count_is "$3" "$4"; do
        sleep 0.1
        left=$((left - 1))
    done
    if [ "$left" -gt 0 ]; then ok "$1"; else sql "$3" | cat - "$tree/daemon.log" >"$tree/out"; bad "$1"; fi
}
slots_of() { echo "SELECT group_concat(time || '=' || outcome, ' ') FROM (SELECT strftime('%H:%M', slot_ns / 1000000000, 'unixepoch') AS time, outcome FROM slots
    WHERE policy = '$1' AND slot_ns % 3600000000000 = 0 AND slot_ns / 1000000000 BETWEEN $day AND $day + 86400 ORDER BY slot_ns)"; }
runs_of() { echo "SELECT count(*) FROM runs WHERE policy = '$1' AND kind = 'backup' AND slot_ns / 1000000000 = $day + $2 AND exit_code = 0"; }

host clock none
echo one >"$source/one"
rm "$config/policies/p.yaml"
printf 'sources:\n  - path: %s\nrepository: %s\nencryption: none\nschedule: "0 * * * *"\ntimezone: UTC\n' "$source" "$tree/clock/repo-hourly" >"$config/policies/hourly.yaml"
# Its run lasts until the file `go` is there.
printf 'sources:\n  - stream: {name: wait, command: [sh, -c, "while [ ! -e %s ]; do sleep 0.1; done; echo done"]}\nrepository: %s\nencryption: none\nschedule: "0 1 * * *"\ntimezone: UTC
window: {length: 10min, at_end: stop}\n' "$tree/go" "$tree/clock/repo-slow" >"$config/policies/slow.yaml"
set_clock 1800
for name in hourly slow; do bkd_then init $name >"$tree/out" 2>&1; done
shifted daemon 2>"$tree/daemon.log" &
daemon=$!
left=400
until grep -q '^ready; policies: 2' "$tree/daemon.log" || [ "$left" = 0 ]; do sleep 0.1; left=$((left - 1)); done
if [ "$left" -gt 0 ]; then ok "a daemon whose clock is set"; else cp "$tree/daemon.log" "$tree/out"; bad "a daemon whose clock is set"; fi

set_clock 3605
wake
comes "01:00: a run" 15 "$(runs_of hourly 3600)" 1
comes "and one that goes on" 15 "SELECT count(*) FROM runs WHERE policy = 'slow' AND state = 'running'" 1
set_clock 3500
wake
set_clock 3610
wake
is 0 "set back over 01:00: it runs once" count_is "$(runs_of hourly 3600)" 1

set_clock 4205
wake
comes "01:10: the window is over, and ends the run" 15 "SELECT count(*) FROM runs WHERE policy = 'slow' AND state = 'ended' AND message LIKE 'cancelled by the end of its window%'" 1
comes "which somebody hears of" 5 "SELECT count(*) FROM events WHERE kind = 'window-over' AND policy = 'slow'" 1
set_clock 6000
wake
is 0 "it is not tried again" count_is "SELECT count(*) FROM runs WHERE policy = 'slow'" 1

set_clock 15600
wake
comes "04:20, over three times: the last one runs" 15 "$(runs_of hourly 14400)" 1
comes "and stands for the others" 5 "$(slots_of hourly)" "01:00=run 02:00=coalesced 03:00=coalesced 04:00=run"

set_clock $((10 * 365 * 86400))
wake
comes "ten years ahead: a run" 15 "SELECT count(*) FROM runs WHERE policy = 'hourly' AND kind = 'backup' AND exit_code = 0" 3
set_clock 16000
wake
set_clock 18010
wake
comes "and back: 05:00 runs as ever" 10 "$(runs_of hourly 18000)" 1
is 0 "what was recorded of the future is left" test "$(sql "SELECT count(*) FROM slots WHERE policy = 'hourly' AND slot_ns / 1000000000 > $day + 5 * 365 * 86400")" -gt 0
is 0 "no time was run for twice" count_is "SELECT count(*) FROM (SELECT 1 FROM runs WHERE kind = 'backup' GROUP BY policy, slot_ns HAVING count(*) > 1)" 0
kill "$daemon"
wait "$daemon"
daemon=
finish
