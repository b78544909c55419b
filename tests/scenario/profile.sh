#!/bin/sh
# Where the time of a backup went: told when asked for, recorded always, the same in both; the stages' processor time is no more than the process had.
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

finish
