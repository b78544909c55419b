#!/bin/sh
# Drills that are due: announced, overdue, held; what drills asked for, and plans to be looked through again. By faketime. Prints TAP.
. "$(dirname "$0")/lib.sh"
[ -n "$faketime_library" ] || { echo "1..0 # SKIP there is no faketime"; exit 0; }

export TZ=UTC
fits() { if eval "$2"; then ok "$1"; else bad "$1"; fi; } # TITLE TEST
at() { # WHEN COMMAND…: bkd at that time
    when=$1
    shift
    shifted "@$when" "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" "$@"
}
# What the participants were told since the last look.
told() { cat "$tree/mail" 2>/dev/null; : >"$tree/mail"; }
alarms() { at "$1" status --json >"$tree/out" 2>&1; } # WHEN

host h none
echo content >"$source/file"
run_bkd init p >/dev/null 2>&1
printf 'objectives: {rto: 1h, rpo: 1d}\nverify: {scratch: %s}\n' "$tree" >>"$config/policies/p.yaml"
backup >/dev/null 2>&1
cat >"$tree/tell" <<EOF
#!/bin/sh
printf '%s %s %s: %s | %s\n' "\$BKD_WHAT" "\$BKD_KIND" "\$BKD_COPY" "\$BKD_TEXT" "\$BKD_NEXT_STEP" >>$tree/mail
EOF
chmod +x "$tree/tell"
cat >"$config/bkd.yaml" <<EOF
notify:
  channels: [{name: people, type: command, command: ["$tree/tell"]}]
  routes: [{to: people, severity: critical}]
EOF
mkdir "$config/plans"
cat >"$config/plans/erp.yaml" <<'EOF'
description: 系统恢复
rto: 1h
review: 2027-06-01
drill: {timezone: Europe/Berlin}
roles: [{name: lead, holder: 王芳, deputy: Ana, contact: "1"}]
systems: [{name: files, policy: p}]
steps:
  - {id: restore, type: restore, system: files, owner: lead, deadline: 30min}
EOF
touch -d "2026-12-01 00:00:00Z" "$config/plans/erp.yaml"

# ---- announced: every quarter, two weeks before
at "2026-12-28 12:00:00" watch >"$tree/out" 2>&1
fits "more than two weeks before nobody is told" '! told | grep -q drill-announced'
at "2026-12-30 12:00:00" watch >"$tree/out" 2>&1
told >"$tree/out"
says "then they are, whatever the route's severity: what, when, which plan, who" 'happened drill-announced erp: drill of recovery plan erp on Tue 2027-01-12 10:00 CET: 系统恢复; takes part: 王芳 \(lead, else Ana\) \| .*bkd drill run erp'
at "2027-01-02 12:00:00" watch >"$tree/out" 2>&1
fits "once" '! told | grep -q drill-announced'

# ---- overdue
alarms "2027-01-13 08:00:00"
says_not "a day late is no alarm" '"kind":"drill-overdue"'
at "2027-01-14 12:00:00" watch >"$tree/out" 2>&1
alarms "2027-01-14 12:00:00"
says "longer is" '"kind":"drill-overdue","severity":"warning".*erp that was due on Tue 2027-01-12 10:00 CET was not held'
says "and the plan is known not to have been rehearsed" '"kind":"plan-unrehearsed","severity":"info"'
echo "# an edit" >>"$config/plans/erp.yaml"
touch -d "2027-01-14 11:00:00Z" "$config/plans/erp.yaml"
alarms "2027-01-14 12:00:00"
says "which an edit does not end" '"kind":"drill-overdue"'

# ---- held
at "2027-01-15 09:00:00" drill run erp --json >"$tree/out" 2>&1
says "the drill is held" '"mode":"rehearsal","passed":true'
run_bkd drill list erp --json >"$tree/out" 2>&1
says "from a snapshot that is older than promised" '"within_rto":true.*"objective_rpo_ms":86400000,"within_rpo":false'
alarms "2027-01-15 12:00:00"
says_not "and is overdue no more" '"kind":"(drill-overdue|plan-unrehearsed|drill-failed)"'
run_bkd plan list --json >"$tree/out" 2>&1
says "the plan is rehearsed" '"plan":"erp".*"rehearsed":true,"changed_since_rehearsal":false'
echo "# another edit" >>"$config/plans/erp.yaml"
run_bkd plan list --json >"$tree/out" 2>&1
says "any edit sets it back" '"rehearsed":false,"changed_since_rehearsal":true'
alarms "2027-01-16 12:00:00"
says "which status says, too" '"kind":"plan-unrehearsed".*was changed since it was rehearsed'
at "2027-04-01 12:00:00" watch >"$tree/out" 2>&1
told >"$tree/out"
says "the next one is announced in its quarter" 'drill-announced erp: .* on Tue 2027-04-13 10:00 CEST'

# ---- one that does not pass
mv "$repo" "$repo.away"
at "2027-04-13 08:00:00" drill run erp --json >"$tree/out" 2>&1
mv "$repo.away" "$repo"
fits "one that does not pass ends with its summary, too" 'grep "^{" "$tree/out" | tail -n 1 | grep -q "\"type\":\"summary\".*\"passed\":false"'
alarms "2027-04-14 12:00:00"
says "a drill that did not pass is an alarm" '"kind":"drill-failed"'
alarms "2027-04-20 12:00:00"
says_not "but was held" '"kind":"drill-overdue"'
at "2027-04-21 08:00:00" drill run erp --json >"$tree/out" 2>&1
alarms "2027-04-21 12:00:00"
says_not "until one passes" '"kind":"drill-failed"'

# ---- what drills asked for, and the review
id=$(run_bkd drill list erp --json | sed -n 's/.*"id":"\([^"]*\)".*"passed":true.*/\1/p' | head -n 1)
at "2027-04-21 09:00:00" improve add "$id" "第二把钥匙" --owner 王芳 --due 2027-05-10 >"$tree/out" 2>&1
alarms "2027-05-10 12:00:00"
says_not "an improvement has time until its day" '"kind":"improvement"'
alarms "2027-05-11 12:00:00"
says "and is an alarm from the next on" '"kind":"improvement".*improvement 1 of drill .* was due on 2027-05-10'
at "2027-05-11 13:00:00" improve close 1 --note "done" >"$tree/out" 2>&1
alarms "2027-05-11 14:00:00"
says_not "until it is done" '"kind":"improvement"'
alarms "2027-06-01 00:00:01"
says "the review date is watched" '"kind":"plan-review","severity":"warning"'
at "2027-06-02 00:00:00" drill history erp --json >"$tree/out"
says "the history has the quarter with its drill, against what is promised" '"quarter":"2027Q1","planned":1,"held":1,"passed":1,"recovery_ms":[0-9]+,"objective_rto_ms":3600000,"within_rto":true'
says "and one with two, of which one passed" '"quarter":"2027Q2","planned":1,"held":2,"passed":1,"recovery_ms":[0-9]{1,6},'
says "and the trend" '"type":"trend".*"plan":"erp","kind":"plan","recovery_change_percent":-?[0-9]'
at "2027-07-20 00:00:00" drill history >"$tree/out"
says "as text, with a quarter in which none was held" '2027Q3 +1 +0 +0 +- +-'
sed -i 's/^review:.*/review: 2028-06-01/; s/^drill:.*/drill: none/' "$config/plans/erp.yaml"
alarms "2027-12-01 00:00:00"
says_not "until it is set anew; without drills nobody misses one" '"kind":"(plan-review|drill-overdue)"'
finish
