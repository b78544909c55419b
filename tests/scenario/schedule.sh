#!/bin/sh
# bkd schedule: slots of policies in the order of time, without daemon, repository or keys; where clocks change; mistakes; policies that wait for each other.
set -u
. "${BKD_SOURCE:?}/tests/scenario/lib.sh"

config=$tree/c
mkdir -p "$config/policies"
schedule() { "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$tree/none" schedule "$@"; }
# policy NAME LINE…
policy() {
    name=$1
    shift
    { printf 'sources: [/srv]\nrepository: /backup\n'; printf '%s\n' "$@"; } >"$config/policies/$name.yaml"
}
# The times of the slots in the last output.
slot_times() { sed -n 's/.*"type":"slot".*"time":"\([^"]*\)".*/\1/p' "$tree/out" | tr '\n' ' '; }
same() { if [ "$2" = "$3" ]; then ok "$1"; else echo "# wanted '$3', got '$2'"; bad "$1"; fi; }

is 2 "no policies at all are a mistake" schedule
policy berlin 'schedule: "30 2 * * *"' 'timezone: Europe/Berlin'
policy hourly 'schedule: ["30 * * * *", "Sun 12:00"]' 'timezone: Europe/Berlin'
policy by-hand 'description: nobody starts it'

is 0 "slots across the spring gap" schedule berlin --json --next 3 --from 2026-03-28T00:00:00Z
same "a skipped time runs at the moment after the gap" "$(slot_times)" "2026-03-28T01:30:00Z 2026-03-29T01:00:00Z 2026-03-30T00:30:00Z "
says "and it is said so" '"time":"2026-03-29T01:00:00Z","local":"2026-03-29T03:00:00\+02:00","timezone":"Europe/Berlin".*"note":"after-gap"'
is 0 "slots across the autumn overlap" schedule berlin --json --next 3 --from 2026-10-24T00:00:00Z
same "a repeated time runs once" "$(slot_times)" "2026-10-24T00:30:00Z 2026-10-25T00:30:00Z 2026-10-26T01:30:00Z "
is 0 "an hourly schedule across the overlap" schedule hourly --json --next 4 --from 2026-10-25T00:00:00Z
same "stays hourly" "$(slot_times)" "2026-10-25T00:30:00Z 2026-10-25T01:30:00Z 2026-10-25T02:30:00Z 2026-10-25T03:30:00Z "
is 0 "all policies" schedule --json --next 4 --from 2026-03-28T01:30:00Z
same "are merged in the order of time, from TIME on" "$(slot_times)" "2026-03-28T01:30:00Z 2026-03-28T01:30:00Z 2026-03-28T02:30:00Z 2026-03-28T03:30:00Z "
is 0 "ten without --next" schedule --json --from 2026-03-28T00:00:00Z
same "are ten" "$(slot_times | wc -w)" 10
is 0 "an offset in --from" schedule berlin --json --next 1 --from 2026-03-28T01:00:00+01:00
same "counts" "$(slot_times)" "2026-03-28T01:30:00Z "
is 0 "text for people" schedule --next 2 --from 2026-03-29T00:00:00Z
says "has both times and the note" '^2026-03-29T01:00:00Z  Sun 2026-03-29 03:00:00 CEST +berlin +\(the clocks have just skipped'
says "names a policy without a schedule" '^by-hand has no schedule'
is 0 "TZ means nothing" env TZ=Asia/Tokyo "$BKD_BIN/bkd" --config-dir "$config" schedule berlin --json --next 1 --from 2026-03-28T00:00:00Z
same "the policy's zone counts" "$(slot_times)" "2026-03-28T01:30:00Z "
is 0 "the end of the calendar" schedule berlin --json --from 9999-12-30T12:00:00Z
same "is no error" "$(slot_times)" "9999-12-31T01:30:00Z "

for from in yesterday 2026-03-28 2026-02-30T00:00:00Z 2026-03-28T00:00:00; do
    is 2 "--from $from is refused" schedule berlin --from "$from"
done
is 2 "--next x is refused" schedule berlin --next x
is 2 "an unknown policy is refused" schedule nobody

policy proven 'schedule: "0 1 * * *"' 'verify: {schedule: "0 5 * * 0"}' 'timezone: UTC'
is 0 "a schedule of verify" schedule proven --json --next 3 --from 2026-03-28T00:00:00Z
same "stands among the backups" "$(sed -n 's/.*"action":"\([^"]*\)","time":"\([^"]*\)".*/\1=\2/p' "$tree/out" | xargs)" \
    "backup=2026-03-28T01:00:00Z backup=2026-03-29T01:00:00Z verify=2026-03-29T05:00:00Z"
rm "$config/policies/proven.yaml"

policy jittered 'schedule: "@daily"' 'timezone: UTC' 'jitter: 1h'
is 0 "jitter" schedule jittered --json --next 1 --from 2026-03-28T00:00:00Z
begins=$(sed -n 's/.*"begins":"\([^"]*\)".*/\1/p' "$tree/out")
says "moves the beginning, not the slot" '"time":"2026-03-28T00:00:00Z".*"begins":"2026-03-28T00:[0-5][0-9]:'
is 0 "jitter again" schedule jittered --json --next 1 --from 2026-03-28T00:00:00Z
says "is the same" "\"begins\":\"$begins\""

policy wrong 'schedule: "60 1 * * *"'
is 2 "one policy with a mistake" schedule --json --next 2 --from 2026-03-28T00:00:00Z
same "does not hide the others" "$(slot_times | wc -w)" 2
says "its mistake has a place" '"line":3,"column":12,"message":"'"'60' is no minute"
rm "$config/policies/wrong.yaml"
policy gone 'schedule: "@daily"' 'timezone: Mars/Olympus'
is 2 "a zone that is not there" schedule gone
says "is a mistake with its place, never UTC" "gone.yaml:4:11: error: 'timezone': there is no time zone 'Mars/Olympus'"
rm "$config/policies/gone.yaml"

policy first 'after: second'
policy second 'after: [third, nobody]'
policy third 'after: first'
is 2 "policies that wait for each other" "$BKD_BIN/bkd" --config-dir "$config" policy check
says "are found" "third.yaml:3:8: error: these policies wait for each other: 'third' after 'first' after 'second' after 'third'"
says "so is one that is not there" "second.yaml:3:16: error: there is no policy 'nobody'"
finish
