#!/bin/sh
# bkd drill: what is rehearsed is recorded as it was, and the repository stays as it is. Prints TAP. BKD_BIN is the directory of bkd and bkd-restore.
. "$(dirname "$0")/lib.sh"

fits() { if eval "$2"; then ok "$1"; else bad "$1"; fi; } # TITLE TEST
drill() { run_bkd drill "$@"; }
leftovers() { find "$scratch" -mindepth 1 | wc -l; }
step() { says "$1" "\"name\":\"$2\",\"begun_ms\":[0-9]+,\"took_ms\":[0-9]+,\"result\":\"$3\""; } # TITLE STEP RESULT

host h "{allow_single_recipient: false}"
scratch=$tree/scratch
mkdir "$scratch" "$source/erp dir"
printf 'objectives: {rto: 1h, rpo: 1d}\nverify: {scratch: %s}\n' "$scratch" >>"$config/policies/p.yaml"
seq 1 20000 >"$source/erp dir/numbers"
ln "$source/erp dir/numbers" "$source/second name"
ln -s "erp dir/numbers" "$source/link"
printf 'odd' >"$source/$(printf 'new\nline, back\\slash, star*')"
chmod 0751 "$source/erp dir"
touch -d '2001-02-03 04:05:06.789012345' "$source/erp dir"
head -c 300000 /dev/urandom >"$source/random"
printf 'x' >"$source/名字"
run_bkd init p >/dev/null 2>&1
is 0 "a snapshot" backup
echo more >>"$source/erp dir/numbers"
is 0 "and another" backup
listing "$repo" >"$tree/before"

# ---- damage and deceit
is 0 "the negative drill" drill negative p --json --responsible 王芳 --participants "李雷, Anna Weiß"
for trick in "a flipped bit in an object" "an object that was removed" "an object that ends at 60 %" "an old state put back" "a key that is withheld"; do
    step "notices $trick" "$trick" passed
done
says "and passes" '"type":"summary".*"kind":"negative".*"snapshot":2.*"passed":true'
listing "$repo" >"$tree/after"
fits "the repository is as it was, to the byte and the second" 'cmp -s "$tree/before" "$tree/after"'
fits "nothing stays in the scratch space" '[ "$(leftovers)" = 0 ]'
record=$(ls "$state"/drills/*/record.json)
fits "the record has who is responsible, in any script" 'grep -qF "\"responsible\":\"\\u738B\\u82B3\"" "$record"'
fits "each step was journaled" '[ "$(grep -c "\"type\":\"step\"" "${record%/*}/journal.jsonl")" = 6 ]'
fits "history has the drill, but no runs of the scratch copy" 'run_bkd history | grep -q drill && ! run_bkd history | grep -q check'
mv "$config/keys/operations.txt" "$tree/operations.txt"
is 0 "without an identity" drill negative p --json
says "it says what it could not try" 'not_exercised":\[.*this host has no identity'
mv "$tree/operations.txt" "$config/keys/operations.txt"

# A bkd-restore that notices nothing is found out.
mkdir "$tree/blind"
cp "$BKD_BIN/bkd" "$tree/blind/bkd"
printf '#!/bin/sh\n"%s/bkd-restore" "$@"\n[ $? = 9 ] || exit 0\nexit 9\n' "$BKD_BIN" >"$tree/blind/bkd-restore"
chmod +x "$tree/blind/bkd-restore"
is 4 "a restore that ends with 0 whatever happens" "$tree/blind/bkd" --config-dir "$config" --state-dir "$state" drill negative p --json
step "is found out" "a flipped bit in an object" failed
# Nor is a bkd whose check finds nothing (each runs what lies beside it), with a restore that needs no key.
mkdir "$tree/deaf"
cp "$BKD_BIN/bkd" "$tree/deaf/bkd-itself"
printf '#!/bin/sh\nexit 0\n' >"$tree/deaf/bkd"
printf '#!/bin/sh\n"%s/bkd-restore" "$@"\nexit 0\n' "$BKD_BIN" >"$tree/deaf/bkd-restore"
chmod +x "$tree/deaf/bkd" "$tree/deaf/bkd-restore"
is 4 "a check that ends with 0 whatever happens" "$tree/deaf/bkd-itself" --config-dir "$config" --state-dir "$state" drill negative p --json
for trick in "an object that was removed" "an old state put back" "a key that is withheld"; do
    step "is found out by $trick" "$trick" failed
done
is 9 "an identity that is named must be there" drill negative p -i "$tree/nothing.txt"

# One that is killed says nothing, which is said.
printf '#!/bin/sh\nexec sleep 3219\n' >"$tree/blind/bkd-restore"
"$tree/blind/bkd" --config-dir "$config" --state-dir "$state" drill negative p >/dev/null 2>&1 &
pid=$!
for _ in $(seq 300); do ! pgrep -f "sleep 3219" >/dev/null || break; sleep 0.1; done
run_bkd status p --json >"$tree/out" 2>&1
says_not "a drill that goes on is no alarm" '"kind":"drill-unfinished"'
kill -9 "$pid"
wait "$pid" 2>/dev/null
run_bkd status p --json >"$tree/out" 2>&1
says "one that was killed is" '"kind":"drill-unfinished","severity":"warning".*the last negative drill .* was killed before its end.*bkd drill negative p'
run_bkd drill list >"$tree/out" 2>&1
says "the list says so, too" 'negative +p +KILLED'
run_bkd drill list --json >"$tree/out" 2>&1
fits "to programs as well, and that others ended" '[ "$(grep -c "\"state\":\"killed\"" "$tree/out")" = 1 ] && grep -q "\"state\":\"ended\"" "$tree/out"'
is 0 "held again" drill negative p --json
run_bkd status p --json >"$tree/out" 2>&1
says_not "it is over" '"kind":"drill-unfinished"'

# ---- by hand
if command -v age >/dev/null && command -v rdiff >/dev/null; then
    is 0 "the by-hand drill" drill by-hand p --json
    step "recover.sh does it" recover.sh passed
    step "attributes are as they were" attributes passed
    step "sha256sum says so of the content" content passed
    says "its time is a figure of its own" '"by_hand_ms":[1-9]'
    says "which is compared with what was promised, as the age of the snapshot is" '"within_rto":true,"loss_ms":[1-9][0-9]*,"within_rpo":true'
    run_bkd rto p --json >"$tree/out" 2>&1
    says_not "that is no part of what bkd-restore takes" '"runs":[1-9]'
    fits "nothing stays in the scratch space" '[ "$(leftovers)" = 0 ]'
    cp -p "$repo/recover.sh" "$tree/recover.sh"
    echo 'exit 0' >"$tree/evil"
    chmod u+w "$repo/recover.sh"
    cat "$tree/evil" >"$repo/recover.sh"
    is 4 "a recover.sh that nobody signed is not run" drill by-hand p --json
    # One that is signed and does its work, and then something to a file of it, with the time put back.
    cp -p "$repo/recover.sh.sig" "$tree/recover.sh.sig"
    chmod u+w "$repo/recover.sh.sig"
    forge() { # COMMAND
        { printf '#!/bin/sh\nif [ -z "${AGAIN-}" ]; then\n  AGAIN=1 sh "$0" "$@"; code=$?; file="$4%s/erp dir/numbers"\n' "$source"
          printf '  touch -r "$file" "$4.time"; %s; touch -r "$4.time" "$file"; exit $code\nfi\n' "$1"
          tail -n +2 "$tree/recover.sh"; } >"$tree/forged.sh"
        rm -f "$tree/forged.sh.sig"
        ssh-keygen -q -Y sign -f "$config/keys/signing" -n bkd-recover@v1 "$tree/forged.sh" 2>/dev/null
        cat "$tree/forged.sh" >"$repo/recover.sh"
        cat "$tree/forged.sh.sig" >"$repo/recover.sh.sig"
    }
    forge 'printf Z | dd of="$file" bs=1 conv=notrunc 2>/dev/null'
    is 4 "one that restores something else does not pass" drill by-hand p --json
    step "though the attributes are right" attributes passed
    step "sha256sum finds it out" content failed
    forge 'chmod 604 "$file"'
    is 4 "nor does one that gives files away" drill by-hand p --json
    step "which their attributes tell" attributes failed
    cp -p "$tree/recover.sh.sig" "$repo/recover.sh.sig"
    cp -p "$tree/recover.sh" "$repo/recover.sh"
    mv "$config/keys/operations.txt" "$tree/operations.txt"
    is 9 "there is no recovery without a key" drill by-hand p
    mv "$tree/operations.txt" "$config/keys/operations.txt"
else
    echo "ok $((number += 1)) - by hand # SKIP age or rdiff is not installed"
fi

# ---- the key that lies offline
run_bkd status p --json >"$tree/out" 2>&1
says "status says that it was never tried" '"kind":"key-drill"'
is 0 "the recovery key opens a canary" drill key p -i "$config/keys/recovery.txt" --json
step "which is whole" "the canary" passed
run_bkd status p --json >"$tree/out" 2>&1
says_not "status knows of it" '"kind":"key-drill"'
is 2 "it must be brought" drill key p
is 0 "it can be piped in, as by a command that fetches it" sh -c "'$BKD_BIN/bkd' --config-dir '$config' --state-dir '$state' drill key p -i - <'$config/keys/recovery.txt'"
is 2 "which other drills do not take" drill negative p -i -
if command -v script >/dev/null && command -v age >/dev/null; then
    typed() { # COMMAND LINES: on a terminal, when it asks
        : >"$tree/tty"
        { n=0; until grep -qE 'assphrase|dentity \(' "$tree/tty" || [ $n = 200 ]; do sleep 0.05; n=$((n + 1)); done; printf '%s\n' "$2"; } | script -qefc "$1" "$tree/tty"
    }
    typed "age -p -o '$tree/recovery.age' '$config/keys/recovery.txt'" "a word
a word" >"$tree/out" 2>&1
    chmod 600 "$tree/recovery.age"
    echo "a word" >"$tree/word"
    echo "another" >"$tree/another"
    chmod 600 "$tree/word" "$tree/another"
    locked="'$BKD_BIN/bkd' --config-dir '$config' --state-dir '$state' drill key p -i '$tree/recovery.age'"
    is 9 "one under a passphrase, and nobody to ask" drill key p -i "$tree/recovery.age"
    is 0 "its passphrase in a file" drill key p -i "$tree/recovery.age" --passphrase-file "$tree/word"
    is 9 "a wrong one" drill key p -i "$tree/recovery.age" --passphrase-file "$tree/another"
    is 0 "from a command" drill key p -i "$tree/recovery.age" --passphrase-command "cat $tree/word"
    is 9 "that fails" drill key p -i "$tree/recovery.age" --passphrase-command "echo lost >&2; exit 3"
    says "and says why" "lost"
    is 0 "at the terminal" typed "$locked" "a word"
    is 9 "a mistake there" typed "$locked" "a wrod"
    is 0 "the key itself, typed in" typed "'$BKD_BIN/bkd' --config-dir '$config' --state-dir '$state' drill key p -i -" "$(grep AGE-SECRET "$config/keys/recovery.txt")"
    says_not "is not shown" "AGE-SECRET-KEY-1[A-Z0-9]{20}"
    is 0 "bkd-restore asks for a passphrase, too" typed "'$BKD_BIN/bkd-restore' -r '$repo' -i '$tree/recovery.age' -s '$config/keys/allowed_signers' dump latest '$source/erp dir/numbers'" "a word"
else
    echo "ok $((number += 1)) - a key under a passphrase # SKIP script or age is not installed"
fi
if command -v sqlite3 >/dev/null; then
    sqlite3 "$state/catalogue.db" "UPDATE drills SET ended_ns = ended_ns - 181 * 86400000000000 WHERE kind = 'key'"
    run_bkd status p --json >"$tree/out" 2>&1
    says "tried more than 180 days ago it is an alarm" '"kind":"key-drill","severity":"warning"'
    is 0 "until it is tried again" drill key p -i "$config/keys/recovery.txt"
    run_bkd status p --json >"$tree/out" 2>&1
    says_not "which ends it" '"kind":"key-drill"'
fi
is 9 "the key of every night is not the one that lies offline" drill key p -i "$config/keys/operations.txt"
printf 'AGE-SECRET-KEY-1%s\n' "QQQQQQ" >"$tree/wrong.txt"
chmod 600 "$tree/wrong.txt"
is 9 "a key that is none" drill key p -i "$tree/wrong.txt"
if command -v age-keygen >/dev/null; then
    age-keygen -o "$tree/stranger.txt" 2>/dev/null
    is 9 "somebody else's key" drill key p -i "$tree/stranger.txt" --json
    fits "is on record as a drill that did not pass" 'grep -q "\"passed\":false.*" "$(ls -t "$state"/drills/*/record.json | head -n 1)"'
fi

# ---- a plan
mkdir -p "$config/plans"
cat >"$config/plans/erp.yaml" <<EOF
description: 系统恢复
rto: 1h
roles: [{name: lead, holder: 王芳, deputy: Ana}]
systems: [{name: files, policy: p}]
steps:
  - {id: tell, type: manual, instruction: tell everybody, owner: lead, deadline: 5min}
  - {id: restore, type: restore, system: files, owner: lead, deadline: 30min}
EOF
is 0 "a plan is rehearsed" drill run erp --unattended --json --participants 李雷
says "and passes" '"mode":"rehearsal","passed":true'
run_bkd drill list erp --json >"$tree/out"
says "with planned and measured times" '"name":"restore","planned_ms":1800000,"begun_ms":[0-9]+,"took_ms":[0-9]+,"result":"passed"'
says "what was left out is listed" '"not_exercised":\["step tell"\]'
says "with the snapshot and the copy of each restore" "\"name\":\"restore\".*\"snapshot\":2,\"copy\":\"$repo\""
says "and the result against RTO and RPO" '"within_rto":true.*"loss_ms":[1-9][0-9]*,"objective_rpo_ms":86400000,"within_rpo":true'

# ---- evidence, verified with stock tools as its README.txt says
is 0 "drills are listed" drill list p --json
id=$(sed -n 's/.*"id":"\([^"]*\)","kind":"negative".*"passed":true.*/\1/p' "$tree/out" | head -n 1)
is 0 "an improvement" run_bkd improve add "$id" "保险柜里放第二把钥匙" --owner 王芳 --due 2000-01-31
is 0 "and another" run_bkd improve add "$id" "a <faster> line & more" --owner Anna --due 2999-12-31
is 2 "one without an owner" run_bkd improve add "$id" "nobody does it" --due 2999-12-31
is 1 "one of no drill" run_bkd improve add 19990101 "text" --owner Anna --due 2999-12-31
is 0 "are listed" run_bkd improve list --json
says "one is overdue" '"improvements":2,"overdue":1'
is 0 "it is done" run_bkd improve close 1 --note "done"
is 1 "once" run_bkd improve close 1
run_bkd improve list --json >"$tree/out"
says "and is listed no more" '"improvements":1,"overdue":0'
is 0 "a report" drill report "$id" --lang zh -o "$tree/report.html"
is 1 "does not replace a file" drill report "$id" -o "$tree/report.html"
is 0 "in English, on standard output" drill report "$id"
says "escapes what was said" 'a &lt;faster&gt; line &amp; more'
fits "the Chinese one is Chinese" 'grep -q ">演练报告</p><h1>p</h1>" "$tree/report.html" && grep -q "<td>王芳</td>" "$tree/report.html" && ! grep -qE "<td>negative<|<p>each trick" "$tree/report.html"'
fits "with the result against what was promised" 'grep -q "<th>会丢失的数据(快照距演练开始的时间)</th><td>[^<]* – <span class=\"passed\">达到承诺</span>" "$tree/report.html"'
is 0 "as JSON" drill report "$id" --json
says "with what it asked for, and what became of that" '"improvements":\[\{"id":1,.*"due":"2000-01-31",.*"note":"done","overdue":false\},\{"id":2,.*"overdue":false\}\]'
says "and when each step began" '"name":"a flipped bit in an object","begun_ms":[0-9]+,"took_ms"'
fits "the Chinese report has a time line" 'grep -q "<h2>时间线</h2>" "$tree/report.html" && grep -q "<i class=\"passed\" style=\"left:[0-9.]*%;width:[0-9.]*%\">" "$tree/report.html"'
fits "it needs nothing from elsewhere" '! grep -qE "https?://|<script|<link|<img" "$tree/report.html"'
if command -v python3 >/dev/null; then
    cat >"$tree/wellformed.py" <<'PYTHON'
import html.parser, sys
class Reader(html.parser.HTMLParser):
    open = []
    def handle_starttag(self, tag, attributes):
        if tag != "meta": self.open.append(tag)
    def handle_endtag(self, tag):
        if self.open.pop() != tag: sys.exit("</%s> closes something else" % tag)
reader = Reader()
reader.feed(open(sys.argv[1], encoding="utf-8").read())
sys.exit(len(reader.open))
PYTHON
    is 0 "each element is closed" python3 "$tree/wellformed.py" "$tree/report.html"
fi
pack() { run_bkd evidence pack --json "$@"; }
is 0 "a package of one drill" pack --drill "$id" -o "$tree/one.tar.zst"
says "has it, and nothing that ran at other times" '"drills":1,"runs":0,"verifications":0,'
is 0 "and of the year" pack --period "$(date -u +%Y)" -o "$tree/year.tar.zst"
says "has the runs" '"runs":[1-9]'
is 1 "a file that exists is left alone" pack --drill "$id" -o "$tree/one.tar.zst"
is 1 "a period without anything" pack --period 1999Q1 -o "$tree/none.tar.zst"
is 2 "a period that is none" pack --period 2026Q7 -o "$tree/none.tar.zst"
is 1 "a drill that is none" pack --drill 19990101 -o "$tree/none.tar.zst"
fits "nothing is written then" '[ ! -e "$tree/none.tar.zst" ] && [ "$(ls "$tree" | grep -c part-)" = 0 ]'
if mkdir "$tree/full" && mount -t tmpfs -o size=64k none "$tree/full" 2>/dev/null; then
    head -c 60k /dev/zero >"$tree/full/other"
    is 7 "no room for the package" run_bkd evidence pack --drill "$id" -o "$tree/full/one.tar.zst"
    says "it says where, why and what to do" "write '$tree/full/one.tar.zst': No space left on device; make room there, or name a file elsewhere with -o\$"
    fits "and leaves nothing there" '[ "$(ls -A "$tree/full")" = other ]'
    is 7 "no room for what goes into it" env TMPDIR="$tree/full" "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" evidence pack --drill "$id" -o "$tree/none.tar.zst"
    says "it says the same" "'$tree/full/.*': No space left on device; make room there, or set TMPDIR"
    fits "and leaves nothing there, either" '[ "$(ls -A "$tree/full")" = other ] && [ ! -e "$tree/none.tar.zst" ]'
    umount "$tree/full"
else
    echo "ok $((number += 1)) - a full disk # SKIP a small file system cannot be mounted here"
fi
mkdir "$tree/unpacked"
tar --zstd -xf "$tree/year.tar.zst" -C "$tree/unpacked"
cd "$tree/unpacked"/evidence-* || exit 1
verify_signature() { # SIGNATURE NAMESPACE, the text on standard input
    ssh-keygen -Y verify -f "$config/keys/allowed_signers" -I "$(ssh-keygen -Y find-principals -f "$config/keys/allowed_signers" -s "$1" | head -n 1)" -n "$2" -s "$1"
}
fits "ssh-keygen believes the list of hashes" 'verify_signature SHA256SUMS.sig bkd-record@v1 <SHA256SUMS >/dev/null'
fits "sha256sum finds each file as it was signed" 'sha256sum --check --strict --quiet SHA256SUMS'
fits "the backups are among the runs" '[ "$(grep -c "\"kind\":\"backup\"" runs.jsonl)" = 2 ]'
fits "no file was not signed" '[ "$(find . -type f | wc -l)" = "$(($(wc -l <SHA256SUMS) + 2))" ]'
sed -n '/^  3\. /,/^  4\. /{/^       /p}' README.txt | head -n 2 >"$tree/unsigned.sh"
fits "as the package itself says how to find out" '[ -s "$tree/unsigned.sh" ] && [ -z "$(sh "$tree/unsigned.sh")" ]'
: >READ; : >drills/SHA256SUMS.html; ln -s /etc/hostname link
fits "what was added is found, however it is called" '[ "$(sh "$tree/unsigned.sh" | sort | tr "\n" " ")" = "./READ ./drills/SHA256SUMS.html ./link " ]'
rm READ drills/SHA256SUMS.html link
sed '/^-----BEGIN SSH SIGNATURE-----$/,$d' "drills/$id/head" >"$tree/head.txt"
sed -n '/^-----BEGIN SSH SIGNATURE-----$/,$p' "drills/$id/head" >"$tree/head.sig"
fits "reports in both languages are in it" '[ -s "drills/$id/report-en.html" ] && [ -s "drills/$id/report-zh.html" ]'
fits "the head is signed by the host that was backed up" 'verify_signature "$tree/head.sig" bkd-head@v1 <"$tree/head.txt" >/dev/null'
fits "it is the one in the record" 'grep -q "\"head_sha256\":\"$(sha256sum <"drills/$id/head" | cut -d " " -f 1)\"" "drills/$id/record.json"'
fits "no secret is in it" '! grep -rqE "AGE-SECRET-KEY-1[A-Z0-9]{20}|PRIVATE KEY-----" .'
of_plan=$(grep -l '"kind":"rehearsal"' drills/*/record.json | sed 's|/record.json||')
fits "a plan's drill has the plan that it names" 'grep -q "\"plan_version\":\"$(sha256sum <"$of_plan/plan.yaml" | cut -d " " -f 1)\"" "$of_plan/record.json"'
fits "and the journal of its run" 'grep -q "\"type\":\"end\"" "$of_plan/run.jsonl"'
sed '/^-----BEGIN SSH SIGNATURE-----$/,$d' "$of_plan/head-files" >"$tree/head.txt"
sed -n '/^-----BEGIN SSH SIGNATURE-----$/,$p' "$of_plan/head-files" >"$tree/head.sig"
fits "and the signed head of what was restored" 'verify_signature "$tree/head.sig" bkd-head@v1 <"$tree/head.txt" >/dev/null'
fits "and names the policies that it restored" 'grep -q "\"policies\":\[\"p\"\]" "$of_plan/record.json"'
fits "what drills asked for is in it" 'grep -q "\"type\":\"closed\"" improvements.jsonl'
echo x >>"drills/$id/journal.jsonl"
fits "a changed file is found" '! sha256sum --check --strict --quiet SHA256SUMS >/dev/null 2>&1'
# ---- a plan's drill that is killed
listed() { for _ in $(seq 100); do run_bkd drill list erp --json >"$tree/out" 2>&1; ! grep -q "\"state\":\"$1\"" "$tree/out" || return 0; sleep 0.1; done; return 1; }
"$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" drill run erp >/dev/null 2>&1 </dev/null & # which waits for somebody
pid=$!
fits "a plan's drill that goes on is listed" 'listed running'
kill -9 "$pid"
wait "$pid" 2>/dev/null
fits "and one that was killed" 'listed killed'

# ---- scratch space that is too small
if grep -q '^  *scratch: \|scratch: ' "$config/policies/p.yaml" && mkdir -p "$tree/small" && mount -t tmpfs -o size=3m none "$tree/small" 2>/dev/null; then
    sed -i "s#scratch: [^,}]*#scratch: $tree/small#" "$config/policies/p.yaml"
    is 7 "no room for the place without bkd" run_bkd drill by-hand p
    says "it says what did not fit" 'tools cannot be copied to .*No space left on device$'
    umount "$tree/small"
else
    echo "ok $((number += 1)) - scratch space that is too small # SKIP a small file system cannot be mounted here"
fi
finish
