#!/bin/sh
# Where the time of a backup went: told when asked for, recorded always, the same in both; the stages' processor time is no more than the process had. And which
# level what is stored gets, and how much memory a night takes.
. "$(dirname "$0")/lib.sh"

host h '{recipients: recipients.txt}'
head -c 20000000 /dev/urandom >"$source/big"
seq 200000 | split -l 1000 - "$source/small-"
run_bkd init p >"$tree/out" 2>&1
is 0 "a backup says where its time went" run_bkd backup p --profile
for stage in hash compress; do says "$stage" "^  $stage  *[0-9]+ .*[0-9]\.[0-9][0-9]\$"; done
says "and what limited it" '^limited by '
is 0 "it is recorded" run_bkd runs show 1
says "as it was told" '^  compress  *[0-9]+ .*[0-9]\.[0-9][0-9]$'
says_not "and not among the other phases" profile_
is 0 "nobody asked" run_bkd backup p
says_not "nothing is told" '^(profile|limited)'
head -c 20000000 /dev/urandom >"$source/bigger" # so that no stage is too short to be told of
run_bkd backup p --jobs 3 --profile --json -q | jq -cS .profile >"$tree/told"
run_bkd runs show 3 --json | jq -cS .profile >"$tree/recorded"
is 0 "as JSON, told and recorded are the same" cmp "$tree/told" "$tree/recorded"
is 0 "the parts make sense" jq -e '.wall_ms > 0 and .processors > 0 and ([.stages[].cpu_ms] | add) <= .processor_ms + 50 and
    (.limit | IN("none", "processors", "thread", "device"))' "$tree/told"
is 0 "as many threads as were asked for" jq -e '[.stages[] | select(.stage == "hash" or .stage == "compress") | .threads] == [3, 3]' "$tree/told"
is 0 "also of a run that only reads the sources" run_bkd backup p --profile --dry-run
says_not "which is no run, and has none" '^limited'

# --- memory: most of many pieces is new, so that their deltas are nearly as large as they are ----------------------------------------
host large '{recipients: recipients.txt}'
head -c 400M /dev/urandom >"$source/large"
run_bkd init p >"$tree/out" 2>&1
run_bkd backup p -q >"$tree/out" 2>&1
python3 -c '
import sys
with open(sys.argv[1], "r+b") as f:
    for block in range(400 << 8):
        if block % 7:
            f.seek(block << 12)
            f.write(b"%d" % block)
' "$source/large"
is 0 "six of seven blocks have changed" /usr/bin/time -o "$tree/rss" -f %M "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p -q --jobs 16
is 0 "which takes less than 192 MiB, whatever the jobs" test "$(tail -n 1 "$tree/rss")" -lt 196608
echo "# $(tail -n 1 "$tree/rss") KiB"
rm "$source/large"

# --- a night is compressed better than a first backup, unless the policy says how ---------------------------------------------------
cat "${BKD_SOURCE:-.}"/bkd/*/*.c "${BKD_SOURCE:-.}"/tests/*/*.c >"$tree/text"
stored() { # NAME FIRST [LINE]: bytes that a backup stores of a text, the first one or a later one
    host "$1" '{recipients: recipients.txt}' ${3:+"$3"}
    run_bkd init p >"$tree/out" 2>&1
    [ "$2" = first ] || backup >"$tree/out" 2>&1
    cp "$tree/text" "$source/text"
    backup >"$tree/out" 2>&1
    field bytes_stored
}
first=$(stored level-first first)
night=$(stored level-night later)
asked=$(stored level-asked later 'compression: 2')
echo "# stored of a text by a first backup $first, by a later one $night, by a later one with compression: 2 $asked"
is 0 "a night stores less of the same" test $((night * 100)) -lt $((first * 98))
is 0 "not where the policy has a level" test $((asked * 100)) -ge $((first * 99))

finish
