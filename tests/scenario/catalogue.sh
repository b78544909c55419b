#!/bin/sh
# The catalogue: runs record themselves; damaged, lost, locked, read-only and on a full disk it never fails a backup, and comes back from its nightly copy,
# from heads, and from the exports beside the repository, which stock tools read. Looked at with the stock sqlite3.
. "$(dirname "$0")/lib.sh"

db() { sqlite3 "$state/catalogue.db" "$1"; }
equal() { if [ "$2" = "$3" ]; then ok "$1"; else echo "# wanted '$3', got '$2'"; bad "$1"; fi; }
damaged() { find "$state" -name 'catalogue.db.damaged-*Z*' ! -name '*-wal' ! -name '*-shm' | wc -l; }

host h '{recipients: recipients.txt}'
echo one >"$source/a"
run_bkd init p >"$tree/out" 2>&1

# ---- runs
is 0 "a backup by a daemon" env BKD_TRIGGER=daemon BKD_SLOT_NS=1800000000000000000 BKD_ATTEMPT=2 BKD_RUN_UID=00112233445566778899aabbccddeeff \
    "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p
equal "is recorded as that" "$(db "SELECT kind, policy, trigger, slot_ns, attempt, state, exit_code, snapshot, uid FROM runs")" \
    'backup|p|daemon|1800000000000000000|2|ended|0|1|00112233445566778899aabbccddeeff'
equal "with its figures" "$(db "SELECT value FROM run_figures WHERE name = 'files'")" 1
equal "and its phases" "$(db "SELECT group_concat(name, ' ') FROM run_phases WHERE name NOT LIKE 'profile%'")" 'commit read scan'
equal "and the policy as it was" "$(db "SELECT text FROM policy_versions")" "$(cat "$config/policies/p.yaml")"
equal "and the hash of it" "$(db "SELECT sha256 FROM policy_versions")" "$(sha256sum <"$config/policies/p.yaml" | cut -d ' ' -f 1)"
equal "its snapshot is where the head says" "$(db "SELECT number, head_sha256 = '$(sha256sum "$repo"/heads/*/1 | cut -d ' ' -f 1)', run, url FROM snapshots
    JOIN snapshot_copies ON snapshot_copies.snapshot = snapshots.id JOIN copies ON copies.id = copy")" "1|1|1|$repo"
mv "$source" "$source.away"
is 1 "a backup that fails" backup
mv "$source.away" "$source"
equal "is recorded with why" "$(db "SELECT exit_code, message LIKE '%$source%' FROM runs WHERE id = 2")" '1|1'
is 0 "a check is recorded as well" run_bkd check p
is 0 "a dry run is not" run_bkd backup p --dry-run
equal "" "$(db "SELECT group_concat(kind, ' ') FROM runs")" 'backup backup check'
equal "each begin and end is an event" "$(db "SELECT group_concat(kind, ' ') FROM events WHERE what = 'happened'")" 'run-started run-done run-started run-failed run-started run-done'
is 0 "history lists them" run_bkd history
says "the newest first" '^ *3 .* check '
is 0 "history of those that failed" run_bkd history --failed --json
says "is the second" '"run":2,.*"result":"failed","exit":1'
says_not "only" '"run":[13],'
is 0 "history of a kind, since yesterday" run_bkd history p --kind check --since 1d
says "is the third" '^ *3 '
is 0 "one run" run_bkd runs show 1 --json
says "has all that is known of it" '"phases":\{"commit_ms":[0-9]+.*"figures":\{.*"files":1.*"places":\[\{"url":"'"$repo"
is 2 "history of no time" run_bkd history --since yesterday
is 1 "a run that is not there" run_bkd runs show 99
is 0 "the catalogue is whole" run_bkd catalogue check
sqlite3 "$state/catalogue.db" "INSERT INTO runs (uid, kind, policy, trigger, pid, boot_id, process_start, started_ns) VALUES ('dead', 'backup', 'p', 'cron', 1, 'another boot', 5, 1799999999000000000)"
is 0 "a run that is gone" run_bkd history --json --limit 1
says "is told as killed" '"state":"killed"'
db "DELETE FROM runs WHERE uid = 'dead'"

# ---- doc/catalogue.md describes what is there, and its questions are answered
if [ -n "${BKD_SOURCE:-}" ]; then
    db "SELECT t.name || '.' || c.name FROM pragma_table_list AS t, pragma_table_info(t.name) AS c WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite_%'" | sort >"$tree/there"
    awk '/^## /{ table = "" } /^### /{ table = $2 } /^\| `/ && table != "" { split($0, part, "`"); print table "." part[2] }' "$BKD_SOURCE/doc/catalogue.md" | sort >"$tree/told"
    is 0 "the documented columns are those there are" diff "$tree/told" "$tree/there"
    sed '1,/^## Questions/d' "$BKD_SOURCE/doc/catalogue.md" | sed -n 's/^    //p' >"$tree/questions"
    is 0 "the documented questions are answered" sqlite3 -bail "$state/catalogue.db" ".read '$tree/questions'"
fi

# ---- exports, read with stock tools
export=$(find "$repo/catalogue" -name '*-full-*.age')
equal "the first backup exported the catalogue" "$(echo "$export" | wc -w)" 1
age -d -i "$config/keys/operations.txt" "$export" | zstd -dc >"$tree/export.jsonl"
equal "age and zstd open it" "$(head -n 1 "$tree/export.jsonl" | jq -r '.bkd_catalogue, .policy' | tr '\n' ' ')" '1 p '
equal "it has no run but that one" "$(jq -r 'select(.table == "runs") | .row.uid' "$tree/export.jsonl")" 00112233445566778899aabbccddeeff
is 0 "ssh-keygen verifies it" sh -c "ssh-keygen -Y verify -f '$config/keys/allowed_signers' -I \"\$(ssh-keygen -Y find-principals -f '$config/keys/allowed_signers' -s '$export.sig')\" \
    -n bkd-record@v1 -s '$export.sig' <'$export'"
is 0 "check knows such files" run_bkd check p
says_not "" 'is not a file bkd stores'
is 0 "an export of now" run_bkd catalogue export p
is 0 "as plain text" run_bkd catalogue export --file "$tree/plain.jsonl"
equal "it has all runs" "$(jq -r 'select(.table == "runs") | .row.id' "$tree/plain.jsonl" | tr '\n' ' ')" '1 2 3 5 '
is 1 "never over a file that is there" run_bkd catalogue export --file "$tree/plain.jsonl"

# ---- damage: from the nightly copy, and heads
broken() { # TITLE COMMAND: then a backup
    (cd "$state" && eval "$2")
    rm -rf "$state"/catalogue.db-wal "$state"/catalogue.db-shm
    before=$(damaged)
    is 0 "backup: $1" backup
    says "it is told: $1" 'warning: the catalogue could not be read'
    equal "the run is on record: $1" "$(db "SELECT exit_code FROM runs ORDER BY id DESC LIMIT 1")" 0
    equal "the first run is too: $1" "$(db "SELECT count(*) FROM runs WHERE uid = '00112233445566778899aabbccddeeff'")" 1
    equal "an alarm stands: $1" "$(db "SELECT count(*) FROM alarms WHERE kind = 'catalogue-damaged' AND cleared_ns IS NULL")" 1
    equal "all snapshots are known: $1" "$(db "SELECT count(*) FROM snapshots")" "$(snapshots)"
    [ "$3" = gone ] || equal "what was there is set aside: $1" "$(damaged)" $((before + 1))
}
broken "cut off" 'truncate -s 20000 catalogue.db' kept
broken "random bytes" 'head -c 50000 /dev/urandom >catalogue.db' kept
broken "header of zeros" 'dd if=/dev/zero of=catalogue.db bs=100 count=1 conv=notrunc 2>/dev/null' kept
broken "zeros behind the header" 'dd if=/dev/zero of=catalogue.db bs=4096 seek=1 count=20 conv=notrunc 2>/dev/null' kept
broken "gone" 'rm catalogue.db' gone
is 0 "a rebuild by hand ends the alarm" run_bkd catalogue rebuild -i "$config/keys/operations.txt"
equal "" "$(db "SELECT count(*) FROM alarms WHERE kind = 'catalogue-damaged' AND cleared_ns IS NULL")" 0

# ---- everything local is lost
before=$(db "SELECT count(*) FROM runs WHERE kind = 'check'")
run_bkd catalogue export p >"$tree/out" 2>&1
rm -rf "$state"
is 3 "rebuild without an identity" run_bkd catalogue rebuild
says "says what is missing" 'bring an identity'
equal "but snapshots are known again" "$(db "SELECT count(*) FROM snapshots")" "$(snapshots)"
is 0 "rebuild with it" run_bkd catalogue rebuild --json -i "$config/keys/operations.txt"
equal "runs are back" "$(db "SELECT count(*) FROM runs WHERE kind = 'check'")" "$before"
equal "with their ids" "$(db "SELECT id FROM runs WHERE uid = '00112233445566778899aabbccddeeff'")" 1
equal "and figures" "$(db "SELECT value FROM run_figures WHERE run = 1 AND name = 'files'")" 1
runs=$(db "SELECT count(*) FROM runs")
is 0 "once more changes nothing" run_bkd catalogue rebuild -i "$config/keys/operations.txt"
equal "" "$(db "SELECT count(*) FROM runs")" "$runs"
is 0 "backup goes on" backup

# A forged export, and one that was changed, are left out.
newest=$(find "$repo/catalogue" -name '*-full-*.age' | sort | tail -n 1)
printf 'x' | dd of="$newest" bs=1 seek=300 conv=notrunc 2>/dev/null
rm -rf "$state"
is 3 "rebuild with a changed export" run_bkd catalogue rebuild -i "$config/keys/operations.txt"
says "tells of it" 'is left out: .*signature'
equal "and takes an older one" "$(db "SELECT count(*) FROM runs WHERE uid = '00112233445566778899aabbccddeeff'")" 1

# ---- a copy has exports as well, and is enough
mkdir "$tree/far"
echo "offsite: [$tree/far/copy]" >>"$config/policies/p.yaml"
sleep 1.1 # names of exports tell seconds apart: this one comes after the one that was changed
is 0 "backup with a copy" backup
is 0 "the copy has an export" sh -c "find '$tree/far/copy/catalogue' -name '*.age' | grep -q ."
equal "where it is, is known" "$(db "SELECT count(DISTINCT url) FROM snapshot_copies JOIN copies ON copies.id = copy")" 2
mv "$repo" "$repo.away"
rm -rf "$state"
run_bkd catalogue rebuild -i "$config/keys/operations.txt" >"$tree/out" 2>&1
equal "from the copy alone" "$(db "SELECT count(*) FROM runs WHERE uid = '00112233445566778899aabbccddeeff'")" 1
mv "$repo.away" "$repo"
sed -i '/^offsite/d' "$config/policies/p.yaml"

# ---- locked for long: the record waits in a file, and is taken in
(
    echo 'BEGIN EXCLUSIVE;'
    sleep 25
) | sqlite3 "$state/catalogue.db" &
locker=$!
sleep 1
is 0 "backup while somebody locks the catalogue" timeout 100 "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p
says "tells what became of the record" "waits in '.*catalogue.pending'"
kill "$locker" 2>/dev/null
wait "$locker" 2>/dev/null
is 0 "the next command that can write" run_bkd history
equal "takes it in" "$(db "SELECT exit_code, state FROM runs ORDER BY started_ns DESC LIMIT 1") $(ls "$state" | grep -c pending)" '0|ended 0'

# ---- a newer bkd was here
version=$(db 'PRAGMA user_version')
db 'PRAGMA user_version = 4711'
is 0 "backup with a catalogue of a newer bkd" backup
says "leaves it alone and says so" 'a newer bkd'
is 2 "history refuses it" run_bkd history
db "PRAGMA user_version = $version"
is 0 "and works again" run_bkd history

# ---- twenty at once, some killed
i=0
while [ $i -lt 20 ]; do
    run_bkd check p --quick >/dev/null 2>"$tree/err.$i" &
    i=$((i + 1))
done
wait
equal "twenty checks at once are all on record" "$(db "SELECT count(*) FROM (SELECT * FROM runs ORDER BY id DESC LIMIT 20) WHERE kind = 'check' AND exit_code = 0")" 20
i=0
while [ $i -lt 10 ]; do
    "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p --quiet >/dev/null 2>&1 & # no function: the process itself is killed
    victim=$!
    draw 30
    sleep "0.0$drawn"
    kill -9 $victim 2>/dev/null
    wait $victim 2>/dev/null
    i=$((i + 1))
done
is 0 "backup after ten kills" backup
equal "no run is left as running" "$(db "SELECT count(*) FROM runs WHERE state = 'running'")" 0
is 0 "the catalogue is whole" run_bkd catalogue check

# ---- no room, no permission
if [ "$(id -u)" = 0 ] && mkdir "$tree/small" && mount -t tmpfs -o size=1m tmpfs "$tree/small" 2>/dev/null; then
    trap 'umount "$tree/small" 2>/dev/null; rm -rf "$tree"' EXIT
    old=$state
    state=$tree/small
    cp -r "$old/policies" "$state/"
    is 0 "backup with a small state directory" backup
    dd if=/dev/zero of="$state/fill" bs=4k 2>/dev/null
    truncate -s -40960 "$state/fill"
    run_bkd check p >"$tree/out" 2>&1
    equal "check on a full disk ends as it should" "$?" 0
    says "and says that the record waits, or is none" 'catalogue.pending'
    rm "$state/fill"
    is 0 "with room again, history" run_bkd history
    is 0 "and the catalogue is whole" run_bkd catalogue check
    umount "$tree/small"
    state=$old
else
    ok "a full disk # SKIP takes root and tmpfs"
fi
if [ "$(id -u)" != 0 ]; then
    chmod 500 "$state"
    is 0 "history of a read-only directory" run_bkd history
    chmod 700 "$state"
else
    ok "a read-only directory # SKIP root may write everywhere"
fi
finish
