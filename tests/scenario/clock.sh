#!/bin/sh
# A clock that is wrong: backups go on in the order of their numbers, the run warns, status says so, and nothing is dated where no clock was. By faketime.
# Prints TAP. BKD_BIN is the directory of bkd and bkd-restore.
. "$(dirname "$0")/lib.sh"
[ -n "$faketime_library" ] || { echo "1..0 # SKIP there is no faketime"; exit 0; }

at() { # TIME COMMAND…: bkd at another time
    when=$1
    shift
    shifted "$when" "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" "$@"
}
time_of() { sed -n 's/^time //p' "$repo"/heads/*/"$1"; }

host clock none
seq 1 1000 >"$source/file"
is 0 "init" run_bkd init p
is 0 "a snapshot at the right time" backup
n=1
for shift in -1h -1d -40y +10y; do
    n=$((n + 1))
    echo "$shift" >>"$source/file"
    is 0 "clock $shift: the backup is made" at "$shift" backup p
    case $shift in
    +10y) says "with a warning" 'if it was not so long ago, set the clock' ;;
    *) says "with a warning" 'one of the two is wrong. The backup goes on' ;;
    esac
    is 0 "it is the next number" test -e "$(echo "$repo"/heads/*/$n)"
done
is 0 "the clock before 1970" at "@1960-06-01 00:00:00" backup p
n=$((n + 1))
case $(time_of $n) in
1970-01-01T00:00:01Z) ok "is no time in the future" ;;
*) bad "is no time in the future: $(time_of $n)" ;;
esac
is 0 "2038 has passed" at "@2038-01-19 03:14:10" backup p
n=$((n + 1))
is 0 "its head says so" test "$(time_of $n)" = 2038-01-19T03:14:10Z
is 0 "2106 has passed" at "@2106-02-07 06:28:20" backup p
n=$((n + 1))
is 0 "its head says so" test "$(time_of $n)" = 2106-02-07T06:28:20Z
run_bkd status >"$tree/out" 2>&1
tr -s '\n ' ' ' <"$tree/out" >"$tree/flat"
grep -Eq "this host's clock is [0-9]+ days before a snapshot of policy p" "$tree/flat" && ok "status says that one of them is wrong" || bad "status"
run_bkd status p --json >"$tree/out" 2>&1
says "which is an alarm of the host" '"type":"host_alarm".*"kind":"clock","severity":"critical"'
for i in 1 2 3; do
    echo "right again $i" >>"$source/file"
    is 0 "a backup at the right time" backup
done
n=$((n + 3))
run_bkd status p --json >"$tree/out" 2>&1
says_not "after some of them it is forgotten" '"kind":"clock"'
is 0 "all are there, in order" test "$(snapshots)" = $n
is 0 "check" run_bkd check p
is 0 "the newest restores" restore latest
is 0 "to what is there" cmp "$source/file" "$tree/restored$source/file"
finish
