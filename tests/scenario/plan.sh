#!/bin/sh
# Recovery plans: mistakes are found, steps are carried out in their order, people answer from elsewhere, an interrupted run goes on, a rehearsal leaves live files
# alone, any change sets the plan back, and it is printed in both languages. Prints TAP. BKD_BIN is the directory of bkd and bkd-restore.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd.sh"

fits() { if eval "$2"; then ok "$1"; else bad "$1"; fi; } # TITLE TEST
journal() { cat "$state"/plans/*/journal.jsonl; }
# A plan in the background; its process is $pid.
begin() {
    touch "$tree/begun"
    "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" plan run "$@" >"$tree/run" 2>&1 </dev/null &
    pid=$!
}
# until_begun STEP: the run that was begun last waits for an answer to it, or executes it. Earlier runs had the step, too: only a journal that it wrote to counts.
until_begun() {
    for _ in $(seq 300); do
        ! find "$state/plans" -name journal.jsonl -newer "$tree/begun" -exec cat {} + 2>/dev/null | grep -q "\"type\":\"step_begin\".*\"step\":\"$1\"" || return 0
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}
# The run's exit code in $status; one that waits for an answer that never came is ended.
until_over() {
    for _ in $(seq 300); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    ! kill -9 "$pid" 2>/dev/null || echo "# the run did not come to its end"
    status=0
    wait "$pid" || status=$?
}

host h "{allow_single_recipient: false}"
mkdir -p "$source/erp" "$config/plans" "$tree/scratch"
seq 1 2000 >"$source/erp/numbers"
printf 'verify: {scratch: %s, checks: [{type: file, file: %s/erp/numbers, pattern: "^2000$"}]}\noffsite: [%s]\n' "$tree/scratch" "${source#/}" "$tree/copy" >>"$config/policies/p.yaml"
run_bkd init p >/dev/null 2>&1
is 0 "a snapshot and its copy" backup

# ---- mistakes
cat >"$config/plans/bad.yaml" <<EOF
roles: [{name: dba, holder: Ana}]
systems: [{name: db, policy: nothing, rto: 1min}]
steps:
  - {id: a, type: restore, system: db, after: b, owner: dab}
  - {id: b, type: manual, instruction: x, after: a, command: [x]}
EOF
is 2 "a plan with mistakes" run_bkd plan check bad
says "a circle" "these steps wait for each other: 'a' after 'b' after 'a'"
says "a role that is not there, with the nearest" "bad.yaml:4:57: error: there is no role 'dab'; did you mean 'dba'"
says "what does not belong" "a step of type manual has no 'command'"
cat >"$config/plans/bad.yaml" <<EOF
roles: [{name: dba, holder: Ana}]
systems: [{name: db, policy: nothing, rto: 1min}, {name: app, rto: 90s, after: db}]
steps:
  - {id: a, type: restore, system: db, deadline: 50s}
  - {id: b, type: manual, system: app, instruction: x, owner: dba, deadline: 45s}
EOF
is 0 "without circles it can be carried out" run_bkd plan check bad
is 2 "but is weak" run_bkd plan lint bad
says "a policy that is not there" "there is no policy 'nothing'"
says "a step for which nobody answers" "nobody answers for step 'a'"
says "a role without deputy" "role 'dba' has nobody when Ana cannot be reached"
says "an objective that what comes before makes impossible" "system 'app' cannot be back in 1 min 30 s: with what comes before it, it takes 1 min 35 s"
says_not "one that can be kept is not named" "system 'db' cannot"
cat >"$config/plans/bad.yaml" <<EOF
roles: [{name: dba, holder: Ana, deputy: Ben, contact: "1"}]
hosts: [{name: standby, address: standby.example.net}]
systems: [{name: db, policy: p, targets: [{scenario: host-loss, to: in-place, host: standby}]}]
steps:
  - {id: a, type: restore, system: db, owner: dba}
  - {id: b, type: check, system: db, owner: dba, after: a}
EOF
is 2 "what another host cannot do" run_bkd plan lint bad
says "it reads no directory of this one" "step 'a': host 'standby' cannot read '$tree/copy', a directory of this one; restore from a copy on a server"
says "nor are there checks for it but commands" "step 'b': a check of type file works on this host only, and its system is restored on host 'standby'"
printf 'sources: [%s]\nrepository: %s\nencryption: {allow_single_recipient: false}\n' "$source" "$repo" >"$config/policies/bare.yaml"
cat >"$config/plans/bad.yaml" <<EOF
rto: 1min
roles: [{name: dba, holder: Ana, deputy: Ana, contact: "1"}, {name: net, holder: Ana, deputy: Ben}]
systems: [{name: db, policy: bare}]
steps:
  - {id: a, type: check, system: db, owner: dba, deadline: 50s}
  - {id: b, type: manual, instruction: x, after: a, owner: net, deadline: 11s}
EOF
is 2 "what nobody would think of on that day" run_bkd plan lint bad
says "who stands in for themselves" "role 'dba': Ana cannot be the deputy of themselves"
says "who cannot be called" "it is not said how to reach Ana .role 'net'"
says "a check of nothing" "step 'a' checks nothing"
says "what all of it takes" "all of it cannot be back in 1 min 0 s: with what comes before it, it takes 1 min 1 s"
rm "$config/policies/bare.yaml"
is 2 "a plan that is not there" run_bkd plan show nowhere
echo '# steps follow' >"$config/plans/bad.yaml"
is 2 "a plan without anything is none" run_bkd plan run bad --yes
says "it says so" 'a plan has at least .steps.'
{ echo 'systems:'; seq 300 | sed 's/.*/  - {name: s&, policy: p}/'; echo 'steps:'; seq 300 | sed 's/.*/  - {id: a&, type: command, system: s&, command: [sh, -c, "sleep 0.1"]}/'; } >"$config/plans/bad.yaml"
is 0 "300 systems at once" run_bkd plan run bad --yes --json
says "all of them" '"step":"a300","state":"done"'
printf 'roles: []\nsteps:\n  - {id: a, type: manual, instruction: x}\n' >"$config/plans/open.yaml"
chmod 666 "$config/plans/open.yaml"
is 2 "a plan that others can write is not carried out" run_bkd plan run open --yes
rm "$config"/plans/*.yaml

cat >"$config/plans/bad.yaml" <<EOF
steps: [{id: a, type: command, deadline: 1s, command: [sh, -c, "[ -e $tree/again ] || { touch $tree/again; sleep 1.2; exit 1; }"]}]
EOF
is 1 "a step that fails, and late" run_bkd plan run bad --yes --json
says "is late" '"type":"summary".*"late":1'
is 0 "is tried again" run_bkd plan run bad --yes --json
says "and is not late any more" '"type":"summary".*"late":0'
: >"$tree/broken"
printf 'steps: [{id: a, type: command, command: [sh, -c, "echo a >>%s/did"]}, {id: b, type: command, after: a, command: [sh, -c, "[ ! -e %s/broken ]"]}]\n' "$tree" "$tree" >"$config/plans/twice.yaml"
is 1 "a run that fails half way" run_bkd plan run twice --yes
rm "$tree/broken"
is 0 "one that is begun anew instead" run_bkd plan run twice --yes --anew
is 0 "and one after that" run_bkd plan run twice --yes
fits "which does not go on with what was given up, but does all of it" '[ "$(wc -l <"$tree/did")" = 3 ]'
cat >"$config/plans/again.yaml" <<EOF
systems: [{name: erp, policy: p}]
steps:
  - {id: before, type: command, rehearse: true, command: ["true"]}
  - {id: restore, type: restore, system: erp, after: before}
  - {id: verify, type: check, system: erp, after: restore}
  - {id: use, type: command, rehearse: true, after: verify, command: ["true"]}
  - {id: wait, type: manual, after: use, instruction: look at it}
EOF
begin again --rehearse
until_begun wait
kill -9 "$pid"
wait "$pid" 2>/dev/null
how_often() { cat "$state"/plans/again-*/journal.jsonl | grep -c "\"type\":\"step_begin\".*\"step\":\"$1\""; }
begin again --rehearse
for _ in $(seq 300); do [ "$(how_often wait)" != 2 ] || break; sleep 0.1; done
fits "a rehearsal that goes on restores anew, and checks and uses that" '[ "$(how_often restore) $(how_often verify) $(how_often use)" = "2 2 2" ]'
fits "what came before is not done again" '[ "$(how_often before)" = 1 ]'
kill -9 "$pid"
wait "$pid" 2>/dev/null
echo 'steps: [{id: a, type: command, command: ["true"]}, {id: b, type: command, after: a, command: ["false"]}]' >"$config/plans/slow.yaml"
is 1 "a plan that fails" run_bkd plan run slow --yes --anew
is 0 "measures nothing" run_bkd plan show slow --json
says "not even the step that was done" '"step":"a".*"source":"unknown","measurements":0'
printf 'rto: 1s\nsteps: [{id: a, type: command, command: [sleep, "1.2"]}]\n' >"$config/plans/slow.yaml"
is 5 "one that takes longer than is promised" run_bkd plan run slow --yes --anew
is 0 "measures what it took" run_bkd plan show slow --json
says "step by step" '"step":"a".*"source":"measured","measurements":1'
cat >"$config/plans/quick.yaml" <<EOF
steps: [{id: a, type: command, command: ["true"]}]
EOF
for _ in 1 2 3; do run_bkd plan run quick --yes >/dev/null 2>&1; done
is 0 "an estimate after runs within a second or two" run_bkd estimate quick --scenario disk-loss --json
says "each is foretold from those before it" '"tested":2'
rm -r "$state/plans" "$config"/plans/*.yaml

# ---- nobody is there, and nobody goes on
cat >"$config/plans/wait.yaml" <<EOF
roles: [{name: lead, holder: Ana, deputy: Ben, contact: "+49 1"}]
steps: [{id: go, type: manual, owner: lead, deadline: 1s, instruction: open the safe}]
EOF
alarmed() { # KIND: it has become an alarm, told by the run itself
    for _ in $(seq 300); do
        run_bkd alarm list --json >"$tree/out" 2>&1
        ! grep -q "\"kind\":\"$1\"" "$tree/out" || return 0
        sleep 0.1
    done
    return 1
}
begin wait --yes
until_begun go
fits "a step that waits past its deadline becomes an alarm" 'alarmed plan-waiting'
says "which says for what, and for whom" 'has waited .* for an answer to step .go. \(lead: Ana, else Ben; \+49 1\): open the safe'
is 6 "a run that goes on is not closed" run_bkd plan close wait --by Ana
cp "$config/plans/wait.yaml" "$tree/wait.yaml"
echo 'steps: [{id: go, type: nothing}]' >"$config/plans/wait.yaml"
run_bkd watch >/dev/null 2>&1
run_bkd status --json >"$tree/out" 2>&1
says "a mistake in the plan's file does not end that" '"kind":"plan-waiting".*for an answer to step .go. \(lead: Ana'
says "beside what it is itself" '"kind":"plan-invalid"'
kill -9 "$pid"
wait "$pid" 2>/dev/null
run_bkd watch >/dev/null 2>&1
run_bkd status --json >"$tree/out" 2>&1
says "a run that was killed is one, also while the file has a mistake" '"kind":"plan-unfinished","severity":"warning".*its process was killed, and 0 of 1 steps are done.*bkd plan run wait --yes; or .*bkd plan close wait-'
says_not "and waits no more" '"kind":"plan-waiting"'
cp "$tree/wait.yaml" "$config/plans/wait.yaml"
begin wait --rehearse
until_begun go
alarmed plan-waiting
run_bkd status --json >"$tree/out" 2>&1
says "a rehearsal that waits is told of beside a run for real that was killed" '"kind":"plan-waiting",.*rehearsal wait-'
says "which is told of, too" '"kind":"plan-unfinished",.*run wait-'
kill -9 "$pid"
wait "$pid" 2>/dev/null
run_bkd status --json >"$tree/out" 2>&1
rehearsal=$(sed -n 's/.*"rehearsal \(wait-[0-9-]*\) of .*/\1/p' "$tree/out" | head -n 1)
says "of two that were killed both are" 'rehearsal wait-[0-9-]* .*; run wait-[0-9-]* .*bkd plan close wait-.*bkd plan close wait-'
is 0 "each can be closed" run_bkd plan close "$rehearsal" --by Ana
begin wait --yes
until_begun go
run_bkd watch >/dev/null 2>&1
run_bkd status --json >"$tree/out" 2>&1
says_not "until it goes on" '"kind":"plan-unfinished"'
run_bkd plan answer wait go --by Ana --failed >/dev/null
until_over
run_bkd status --json >"$tree/out" 2>&1
says "or is stopped by a step that failed" '"kind":"plan-unfinished".*is not finished: step .go. failed'
is 2 "who closes it?" run_bkd plan close wait
is 0 "it is closed" run_bkd plan close wait --by Ana --note "the safe is lost"
run_bkd status --json >"$tree/out" 2>&1
says_not "and over" '"kind":"plan-unfinished"'
run_bkd plan list >"$tree/out"
says_not "for the list, too, which has a date of review without one" 'unfinished|no review date'
says "a year after the file was changed" "wait: not rehearsed; review by [0-9-]+$"
is 1 "once" run_bkd plan close wait --by Ana
rm -r "$state/plans" "$config"/plans/*.yaml
mkdir "$state/plans"
if mount -t tmpfs -o size=64k none "$state/plans" 2>/dev/null; then
    cp "$tree/wait.yaml" "$config/plans/wait.yaml"
    mkdir "$tree/mute" # where nobody else is told while it runs
    cp "$BKD_BIN/bkd" "$tree/mute/bkd-itself"
    printf '#!/bin/sh\nexit 0\n' >"$tree/mute/bkd"
    chmod +x "$tree/mute/bkd"
    touch "$tree/begun"
    "$tree/mute/bkd-itself" --config-dir "$config" --state-dir "$state" plan run wait --yes >"$tree/run" 2>&1 </dev/null &
    pid=$!
    until_begun go
    sleep 1.2
    run_bkd watch >/dev/null 2>&1
    fits "a run that waits" 'alarmed plan-waiting'
    mkdir -p "$(ls -d "$state"/plans/*)/answers"
    dd if=/dev/zero of="$state/plans/.filler" bs=4096 2>/dev/null
    truncate -s -4096 "$state/plans/.filler"
    is 0 "an answer, as long as all room that is left for it and the journal" run_bkd plan answer wait go --by Ana --note "$(head -c 3800 /dev/zero | tr '\0' x)"
    until_over
    fits "a run that can keep its journal no more ends" '[ $status = 7 ]'
    run_bkd alarm list --json >"$tree/out" 2>&1
    says "as one that is unfinished" '"kind":"plan-unfinished"'
    says_not "and waits for nobody" '"kind":"plan-waiting"'
    umount "$state/plans"
else
    echo "ok $((number += 1)) - a run that can keep its journal no more # SKIP a small file system cannot be mounted here"
fi
rm -rf "$state/plans" "$config"/plans/*.yaml

# ---- a plan
plan() {
    cat >"$config/plans/erp.yaml" <<EOF
description: The ERP — after the loss of its disk 系统恢复
review: 2199-01-01
roles:
  - {name: lead, holder: Ana Lima, deputy: 王芳, contact: "+49 1", deputy_contact: "+49 2", place: room 1}
systems:
  - name: erp
    policy: p
    rto: 1h
    targets: [{scenario: host-loss, to: directory, path: $tree/standby}]
steps:
  - {id: go, type: decision, owner: lead, instruction: is it lost?, choices: [yes, abort]}
  - {id: restore, type: restore, system: erp, after: go, owner: lead, deadline: 10min}
  - {id: verify, type: check, system: erp, after: restore, owner: lead}
  - {id: start, type: command, system: erp, after: verify, owner: lead, command: [sh, -c, "echo \$BKD_MODE \$BKD_TREE >>$tree/started; echo it runs; $1"]}
  - {id: hand-over, type: manual, after: start, owner: lead, deadline: 20min, instruction: look at it}
EOF
}
plan true
is 0 "a good one" run_bkd plan lint erp
is 0 "is shown on a time line" run_bkd plan show erp --json
says "critical steps are marked" '"step":"restore".*"critical":true'
is 2 "for real only when it is meant" run_bkd plan run erp
is 2 "a scenario that it does not know" run_bkd plan run erp --yes --scenario flood

rm "$source/erp/numbers"
plan 'sleep 60'
begin erp --yes
until_begun go
is 2 "a choice that there is not" run_bkd plan answer erp go --by Ana --choice maybe
says "those that there are" 'yes, abort'
is 2 "nobody without a name" run_bkd plan answer erp go --choice yes
is 2 "a note that is too long to be read" run_bkd plan answer erp go --by Ana --choice yes --note "$(head -c 70000 /dev/zero | tr '\0' x)"
answers=$(ls -d "$state"/plans/*)/answers
mkdir -p "$answers"
echo '{' >"$answers/go.json"
for _ in $(seq 100); do [ -e "$answers/go.json" ] || break; sleep 0.1; done
fits "an answer that cannot be understood is in nobody's way" '[ ! -e "$answers/go.json" ]'
is 2 "nobody asks yet" run_bkd plan answer erp hand-over --by Ana
is 0 "a decision from another terminal" run_bkd plan answer erp go --by 'Ana Lima' --note 'the disk is dead 磁盘坏了' --choice yes
until_begun start
fits "the file is back in place" 'seq 1 2000 | cmp -s - "$source/erp/numbers"'
for _ in $(seq 300); do ! journal | grep -q '"type":"output".*it runs' || break; sleep 0.1; done
kill -9 $pid
wait $pid 2>/dev/null
run=$(ls "$state/plans")
fits "what ended before the kill is in the journal" 'journal | grep -q "\"type\":\"step_end\".*\"step\":\"restore\".*\"state\":\"done\""'
fits "with who decided, and the note" 'journal | grep -q "\"step\":\"go\".*\"by\":\"Ana Lima\".*\"note\":\"the disk is dead .u78[cC]1"'
fits "and what a command said" 'journal | grep -q "\"type\":\"output\".*it runs"'
cp "$config/plans/erp.yaml" "$tree/erp.yaml"
echo '# another text' >>"$config/plans/erp.yaml"
is 2 "a changed plan does not go on" run_bkd plan run erp --yes
says "it says so" 'was changed since run'
cp "$tree/erp.yaml" "$config/plans/erp.yaml"
: >"$tree/started"
begin erp --yes
for _ in $(seq 300); do [ ! -s "$tree/started" ] || break; sleep 0.1; done
fits "it goes on where it was" '[ "$(journal | grep -c "\"type\":\"step_begin\".*\"step\":\"restore\"")" = 1 ] && [ "$(ls "$state/plans")" = "$run" ]'
fits "the interrupted step is done again" 'grep -q "^run /$" "$tree/started"'
is 6 "two at once do not" run_bkd plan run erp --yes
kill -TERM $pid
wait $pid
fits "an interrupt ends it with 1, and the command with it" '[ $? = 1 ] || grep -q "NOT DONE" "$tree/run"'

# ---- a whole run
plan true
begin erp --yes --anew --scenario host-loss --json
until_begun go
run_bkd plan answer erp go --by Ana --choice yes >/dev/null
until_begun hand-over
is 0 "a manual step is confirmed from elsewhere" run_bkd plan answer erp hand-over --by 王芳 --note '看过了'
until_over
cp "$tree/run" "$tree/out"
fits "everything is done" '[ $status = 0 ]'
says "the summary says so" '"type":"summary".*"scenario":"host-loss","passed":true'
says "the restore came from the copy elsewhere" "\"step\":\"restore\".*\"from\":\"$tree/copy\""
run_bkd history erp --json >"$tree/out" 2>&1
says "it is among the runs" '"kind":"plan","policy":"erp".*"exit":0'
says "as the interrupted one is" '"kind":"plan","policy":"erp".*"state":"killed"'
run_bkd runs show "$(sed -n 's/.*"run":\([0-9]*\),.*"kind":"plan".*"exit":0.*/\1/p' "$tree/out" | head -n 1)" --json >"$tree/out" 2>&1
says "with how long its steps took" '"hand-over_ms":'
says "and what they came to" '"steps_done":5'
fits "into the directory of the scenario" 'seq 1 2000 | cmp -s - "$tree/standby/$source/erp/numbers"'

# ---- rehearsal, tabletop, list
is 0 "not rehearsed yet" run_bkd plan list
says "says so" 'erp: not rehearsed; review by 2199-01-01'
echo live >"$source/erp/numbers"
: >"$tree/started"
is 0 "a rehearsal without people" run_bkd plan run erp --rehearse --unattended --json
says "checks what it restored" '"step":"verify","state":"done"'
says "and leaves out what acts on live systems" '"step":"start","state":"skipped".*not exercised'
fits "live files are as they were" '[ "$(cat "$source/erp/numbers")" = live ] && [ ! -s "$tree/started" ]'
fits "nothing stays in scratch space" '[ -z "$(ls "$tree/scratch")" ]'
is 0 "what was rehearsed is measured" run_bkd plan show erp --json
says "by its time, not its deadline" '"step":"restore".*"source":"measured","measurements":1'
run_bkd plan list >"$tree/out"
says "it is rehearsed" 'erp: rehearsed 20'
echo '# edited' >>"$config/plans/erp.yaml"
run_bkd plan list >"$tree/out"
says "any change sets it back" 'erp: not rehearsed: changed since the rehearsal'
sed -i 's/2199-01-01/2001-01-01/' "$config/plans/erp.yaml"
run_bkd plan list >"$tree/out"
says "a review that is due" 'REVIEW DUE since 2001-01-01'
begin erp --tabletop
for step in go restore verify start hand-over; do
    until_begun $step
    if [ $step = go ]; then run_bkd plan answer erp $step --by Ana --choice yes; else run_bkd plan answer erp $step --by Ana --note "$step would be done"; fi >"$tree/out" 2>&1 || bad "tabletop: $step"
done
until_over
fits "a tabletop asks for each step, and does nothing" '[ $status = 0 ] && [ "$(cat "$source/erp/numbers")" = live ] && [ ! -s "$tree/started" ]'
begin erp --yes --anew
until_begun go
run_bkd plan answer erp go --by Ana --choice abort >/dev/null
until_over
fits "abort ends it" '[ $status = 1 ] && grep -q aborted "$tree/run"'

# ---- before the disaster
rm "$config/plans/erp.yaml"
plan true
sed -i 's/place: room 1/arrival: 2h, place: room 1/; s/^review:.*/rto: 1h/' "$config/plans/erp.yaml"
is 0 "an estimate of a plan" run_bkd estimate erp --scenario host-loss --json
says "waits for people" '"step":"go","start_ms":7200000,.*"source":"(deadline|runs|unknown)","critical":true'
says "counts what was measured" '"step":"restore",.*"source":"runs"'
says "and is tested against the runs before" '"type":"estimate","schema":1,"plan":"erp",.*"bottleneck":"people".*"model":\{"tested":[1-9].*"worst_error":[0-9.e+-]+\},"objective_rto_ms":3600000,"met":false'
is 0 "with whoever is there at once" run_bkd estimate erp --arrival 1s
says "it names what makes it long" 'so long because of: .*arrival of lead 2 h 0 min'
says "and what would help" 'what would help: people who are there at once.*saves 2 h'
run_bkd verify p -q --from repository >"$tree/out" 2>&1
is 0 "of a path, too" run_bkd estimate "$config/plans/erp.yaml" --plan --scenario disk-loss --json
says "restores count by their model, once they were measured" '"step":"restore",.*"source":"model"'
is 2 "a disaster that is none" run_bkd estimate erp --scenario flood
is 2 "no restore at all at once" run_bkd estimate erp --parallel 0
is 2 "neither a policy nor a plan" run_bkd estimate nothing

# ---- on another host, from a copy on a server
if sshd_available; then
    sshd_start standby "Subsystem sftp internal-sftp"
    sshd_keys "$config/keys"
    sed -i "s#^offsite: .*#offsite: [\"sftp://$sshd_user@127.0.0.1:$sshd_port$sshd_dir/copy\"]#" "$config/policies/p.yaml"
    printf '[127.0.0.1]:%s %s\n' "$sshd_port" "$(cut -d ' ' -f 1,2 "$sshd_dir/host.pub")" >"$config/keys/hosts"
    run_bkd trust-host p --yes >"$tree/out" 2>&1
    seq 1 2000 >"$source/erp/numbers"
    is 0 "a snapshot on a server" backup
    cat >"$config/plans/far.yaml" <<EOF
hosts: [{name: standby, address: "ssh://$sshd_user@127.0.0.1:$sshd_port", ssh_identity: ssh_ed25519, ssh_known_hosts: hosts}]
systems: [{name: erp, policy: p, targets: [{scenario: host-loss, to: directory, host: standby, path: "$tree/far away"}]}]
steps:
  - {id: restore, type: restore, system: erp}
  - {id: verify, type: check, system: erp, after: restore, checks: [{type: command, run: [sh, -c, "grep -c . ${source#/}/erp/numbers"]}]}
  - {id: start, type: command, system: erp, after: verify, host: target, command: [sh, -c, "echo \"\$BKD_TREE\" \"\$SSH_CONNECTION\""]}
EOF
    is 0 "a plan that restores on a stand-by by ssh" run_bkd plan run far --yes --scenario host-loss --json
    says "the check ran there" '"step":"verify","state":"done"'
    says "as the command did" "\"step\":\"start\",\"state\":\"done\".*far away 127.0.0.1"
    fits "the file is there" 'seq 1 2000 | cmp -s - "$tree/far away/$source/erp/numbers"'
    fits "no keys stay there" '[ -z "$(find /tmp -maxdepth 2 -path "/tmp/tmp.*/ssh-identity" -newer "$config/plans/far.yaml" 2>/dev/null)" ]'
    ssh-keygen -q -t ed25519 -N '' -f "$tree/other"
    printf '[127.0.0.1]:%s %s\n' "$sshd_port" "$(cut -d ' ' -f 1,2 "$tree/other.pub")" >"$config/keys/hosts"
    is 1 "a host whose key is another is refused" run_bkd plan run far --yes --scenario host-loss
    says "and why" 'cannot be reached by ssh'
    run_bkd plan run far --yes --scenario host-loss --json 2>/dev/null | tail -n 1 >"$tree/out"
    says "the summary is the last line of one that failed, too" '"type":"summary",.*"passed":false'
    sshd_stop
else
    echo "ok $((number += 1)) - another host # SKIP $sshd_missing"
fi

# ---- on paper
for language in en zh; do
    is 0 "printed ($language)" run_bkd plan print erp --lang $language -o "$tree/plan.$language.html"
    cp "$tree/plan.$language.html" "$tree/out"
    says "whom to call" '王芳.*\+49 2|\+49 2'
    says "with a QR code of the command" '<svg '
    says "with a time line" '<i class="critical" style="left:'
    says "with boxes to sign" '<table class="sign">'
    says_not "complete in itself" '(src|href)="https?:'
    if command -v python3 >/dev/null; then
        fits "well formed" 'python3 -c "import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])" "$tree/plan.$language.html"'
    fi
done
says "with the command that restores by hand" 'bkd-restore restore latest --policy p -r [^ ]* .*--in-place --overwrite if-changed'
is 0 "for a disaster" run_bkd plan print erp --scenario host-loss -o "$tree/plan.html"
cp "$tree/plan.html" "$tree/out"
says "with what is restored where" 'bkd-restore restore .*--target [^ ]*/standby --overwrite if-changed'
says "and how bkd carries it out" 'bkd plan run erp --scenario host-loss'
is 2 "a disaster that it says nothing of" run_bkd plan print erp --scenario flood
is 2 "a language it is not in" run_bkd plan print erp --lang xx
finish
