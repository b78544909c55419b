#!/bin/sh
# `bkd status` read by a person who has never seen it: what is protected, what is not, since when, what to do; the exit codes for monitoring; the JSON. The clock
# is moved by faketime. Prints TAP. BKD_BIN is the directory of bkd and bkd-restore.
. "$(dirname "$0")/lib.sh"

status() { run_bkd status "$@"; }
wide() { awk 'length($0) > 80 && / .* .* /' "$tree/out" | grep -vE '^ *(->|!!|!|-)? *[^ ]+$' | wc -l; } # lines of several words beyond column 80
told() { # as says, whatever the line breaks
    tr -s '\n ' ' ' <"$tree/out" >"$tree/flat"
    if grep -Eq -- "$2" "$tree/flat"; then ok "$1"; else bad "$1"; fi
}
policy() { # NAME LINE…
    name=$1
    shift
    { printf 'sources: [%s]\nrepository: %s\nencryption: none\n' "$source" "$home/repo-$name"
      [ $# = 0 ] || printf '%s\n' "$@"; } >"$config/policies/$name.yaml"
}

host status none
rm "$config/policies/p.yaml"
mkdir -p "$tree/elsewhere"
mv "$config/keys/operations.txt" "$config/keys/recovery.txt" "$tree/elsewhere/"
seq 1 1000 >"$source/file"
is 5 "no policies" status
says "is said, and what to do" 'Nothing is protected.*no policies'

# --- the first day ------------------------------------------------------------------------------------------------------------------
policy erp 'objectives: {rpo: 24h, rto: 2h, tier: 1}' 'description: the ERP files'
policy web "offsite: [$home/copy]"
policy new
is 5 "nothing made yet" status
says "the headline" '^3 policies: 3 NOT PROTECTED, 0 at risk, 0 protected'
says "the next step" 'bkd init erp'
for p in erp web; do run_bkd init $p -q && run_bkd backup $p -q; done
is 5 "two of three" status
says "the headline" '^3 policies: 1 NOT PROTECTED, 0 at risk, 2 protected'
says "what is worst stands first" 'new +NOT PROTECTED no snapshot'
[ "$(grep -nE '^(erp|new|web) ' "$tree/out" | head -n 1 | cut -d: -f2 | cut -d' ' -f1)" = new ] && ok "in its place" || bad "in its place"
says "age against what is promised" 'erp +PROTECTED +newest snapshot a moment old \(24 h promised\)'
told "where copies are" 'copies elsewhere: 1 of 1'
is 0 "nothing is wider than a terminal" test "$(wide)" = 0
if grep -q "$(printf '\033')" "$tree/out"; then bad "no colours in a file"; else ok "no colours in a file"; fi
is 0 "one that is well" status erp
says "in detail" '^erp: PROTECTED'
says "what it is" '^the ERP files'
says "what is promised" 'Promised +a snapshot is at most 24 h old; a restore takes at most 2 h'
says "that there is no copy" 'Copies +none: when this place is lost'
says "that it was never proved" 'Proved +not yet by a restore'
rm "$config/policies/new.yaml"
is 0 "all well" status
says "is said in one line" '^All 2 policies are protected'
is 0 "--check of a good host" status --check
is 0 "says little" test "$(wc -l <"$tree/out")" = 1
is 0 "--json" status --json
says "the contract" '"type":"policy".*"policy":"erp","protected":true,.*"rpo_age_ms":[0-9]+,"rpo_ms":86400000,.*"alarms":\[\]'
jq -es 'map(select(.type == "policy")) | length == 2' "$tree/out" >/dev/null && ok "a line for each" || bad "a line for each"
is 2 "a policy that is not there" status nothing
says "what to do" "there is no policy 'nothing'"

# --- trouble ------------------------------------------------------------------------------------------------------------------------
echo 'sources: [relative]' >"$config/policies/wrong.yaml"
is 5 "a policy with mistakes" status --check
told "names it" 'the policy file cannot be used: .*wrong.yaml:1'
says "and what to do" 'bkd policy check wrong'
rm "$config/policies/wrong.yaml"
mv "$home/repo-erp" "$tree/elsewhere/repo-erp"
is 5 "a repository that is gone" status
told "is not one that was never made" 'repo-erp had snapshot 1 and is not there now'
says "what to do" 'mount its disk'
mv "$tree/elsewhere/repo-erp" "$home/repo-erp"
cp -a "$home/repo-erp" "$tree/elsewhere/old"
echo more >>"$source/file"
run_bkd backup erp -q
rm -rf "$home/repo-erp"
mv "$tree/elsewhere/old" "$home/repo-erp"
is 4 "a repository that was set back" status erp
says "says so" 'erp: NOT PROTECTED'
told "which snapshot is missing" 'does not hold number 2 as this host made it'
is 4 "weighs more than an objective" status --check
rm -rf "$state/policies/erp" "$home/repo-erp"
run_bkd init erp -q && run_bkd backup erp -q
cp -a "$state/policies/erp" "$tree/elsewhere/state"
echo again >>"$source/file"
run_bkd backup erp -q
rm -rf "$state/policies/erp"
mv "$tree/elsewhere/state" "$state/policies/erp"
is 4 "a snapshot that this host did not make" status --check
told "says so" 'snapshot 2, and what follows, was made with this host.s key, but not by this host'
rm -rf "$state/policies/erp" "$home/repo-erp"
run_bkd init erp -q && run_bkd backup erp -q
head=$(echo "$home"/repo-erp/heads/*/1)
sed -i 's/^files 1/files 2/' "$head"
is 4 "a head that was changed" status --check
says "what to do" 'bkd check erp'

# --- alarms: raised once, cleared when it is well again -----------------------------------------------------------------------------------
rm -rf "$state/policies/erp" "$home/repo-erp"
run_bkd init erp -q && run_bkd backup erp -q
active() { sqlite3 "$state/catalogue.db" "SELECT kind || '/' || severity FROM alarms WHERE policy = '$1' AND cleared_ns IS NULL ORDER BY 1" | tr '\n' ' '; }
events() { sqlite3 "$state/catalogue.db" "SELECT count(*) FROM events WHERE kind = '$1' AND policy = 'erp' AND what = '$2'"; }
is 0 "a policy that is well" status erp
is 0 "has no alarm" test -z "$(active erp)"
mv "$source" "$source.away"
is 1 "a backup that fails" run_bkd backup erp
is 0 "raises one at its end" test "$(active erp)" = "run-failed/warning "
run_bkd backup erp -q 2>/dev/null
run_bkd status -q
is 0 "once, however often it is looked at" test "$(events run-failed opened)" = 1
is 0 "status" status
told "says what the run said, and since when" "erp AT RISK since 20[^ ]*Z: newest .* the last backup failed: .*source '.*' does not exist.*\(2 failed since"
told "what to do" 'correct that, then: bkd backup erp'
mv "$source.away" "$source"
is 0 "a backup that succeeds" run_bkd backup erp
is 0 "clears it" test -z "$(active erp)"
is 0 "which is told once" test "$(events run-failed cleared)" = 1
mv "$home/repo-erp" "$tree/elsewhere/repo-erp"
run_bkd backup erp -q 2>/dev/null
is 0 "a repository that is gone is an alarm" test "$(active erp)" = "run-failed/warning store/critical "
run_bkd watch -q 2>/dev/null
is 0 "which stands until somebody looked at it again" test "$(active erp)" = "run-failed/warning store/critical "
mv "$tree/elsewhere/repo-erp" "$home/repo-erp"
run_bkd status -q
is 0 "and saw that it is there" test "$(active erp)" = "run-failed/warning "
is 0 "after a backup" run_bkd backup erp
is 0 "nothing is wrong" test -z "$(active erp)"
mv "$home/copy/objects" "$tree/elsewhere/objects"
mkdir "$home/copy/objects"
is 4 "a copy that lost its objects" run_bkd ship web
is 0 "is an alarm" test "$(active web)" = "copy-damaged/critical "
rmdir "$home/copy/objects"
mv "$tree/elsewhere/objects" "$home/copy/objects"
is 0 "when it is whole again" run_bkd ship web
is 0 "it is over" test -z "$(active web)"
is 0 "room on a copy's disk is noted" test "$(sqlite3 "$state/catalogue.db" "SELECT count(DISTINCT name) FROM run_figures WHERE name GLOB 'copy_free.????????' OR name GLOB 'copy_total.????????'")" = 2
is 0 "and shown" sh -c "'$BKD_BIN/bkd' --config-dir '$config' --state-dir '$state' status web --json | jq -es '.[0].copies[0].disk.free_bytes > 0'"
object=$(find "$home/repo-web/objects" -type f | head -n 1)
cp -p "$object" "$tree/elsewhere/object"
chmod u+w "$object"
printf x | dd of="$object" bs=1 seek=20 conv=notrunc 2>/dev/null
is 4 "a check that finds damage" run_bkd check web
is 4 "is seen by who did not read it" status --check
told "with what to do" 'a check of the repository found [0-9]+ alarms: .* -> see which: bkd check web; restore'
is 0 "is an alarm" test "$(active web)" = "check/critical "
cp -p "$tree/elsewhere/object" "$object"
is 0 "one that does not look so deep" run_bkd check web --quick
is 0 "says nothing of it" test "$(active web)" = "check/critical "
is 0 "one that does" run_bkd check web
is 0 "ends it" test -z "$(active web)"
sqlite3 "$state/catalogue.db" "INSERT INTO verifications (uid, policy, copy, snapshot, time_ns, mode, proven) VALUES ('v1', 'web', '$home/copy', 1, 1000, 'full', 0), ('v2', 'web', '', 1, 2000, 'full', 1)"
is 4 "a proof from a copy that failed" status web
told "is not undone by one from the repository" "the last proof by a restore from the copy $home/copy failed, of snapshot 1 -> .*bkd verify web --from $home/copy"
sqlite3 "$state/catalogue.db" "UPDATE verifications SET proven = 1"
is 0 "but by one from there" status web
sqlite3 "$state/catalogue.db" "INSERT INTO run_figures SELECT max(id), 'differing_files', 2 FROM runs WHERE policy = 'web' AND kind = 'backup' ON CONFLICT DO UPDATE SET value = 2"
is 0 "files that changed without a sign" status web
told "are told" 'web: AT RISK .*2 files are not what was stored, though'
sqlite3 "$state/catalogue.db" "UPDATE run_figures SET value = 0 WHERE name = 'differing_files'"
sqlite3 "$state/catalogue.db" "INSERT INTO alarms (kind, policy, severity, text, next_step, opened_ns, last_seen_ns) VALUES ('somebody-else', 'erp', 'warning', 'the moon', 'wait', 1, 1)"
is 0 "what others raised" status erp
told "is shown" '! the moon -> wait'
is 0 "and left alone" test "$(active erp)" = "somebody-else/warning "
sqlite3 "$state/catalogue.db" "INSERT INTO alarms (kind, policy, severity, text, next_step, opened_ns, last_seen_ns) VALUES ('somebody-else', 'removed', 'warning', 'x', 'y', 1, 1)"
run_bkd status -q
is 0 "but not of a policy that is no more" test -z "$(active removed)"
rm "$state"/catalogue.db*
is 0 "without a catalogue" status
told "heads still tell" 'erp PROTECTED newest snapshot'
is 0 "looking makes none" test ! -e "$state/catalogue.db"
echo "no database" >"$state/catalogue.db"
is 0 "a catalogue that is damaged" status
told "is told, and was replaced" 'the catalogue could not be read .* -> .*bkd catalogue rebuild'
told "and heads still tell" 'erp PROTECTED newest snapshot'
rm "$state"/catalogue.db*

# --- time ---------------------------------------------------------------------------------------------------------------------------
if [ -n "$faketime_library" ]; then
    rm -rf "$state/policies/erp" "$home/repo-erp"
    run_bkd init erp -q && run_bkd backup erp -q
    is 5 "30 hours later" shifted +30h "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" status
    says "the promise was broken" 'NOT PROTECTED since 20[^ ]*Z: newest snapshot 30 h'
    says "what to do" 'bkd backup erp'
    shifted +30h "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" status --json >"$tree/out" 2>&1
    jq -es 'map(select(.policy == "erp"))[0] | .protected == false and .rpo_age_ms > 107000000 and .alarms[0].kind == "rpo"' "$tree/out" >/dev/null &&
        ok "in JSON as well" || bad "in JSON as well"
    is 5 "8 days later, the copy is too old as well" shifted +8d "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" status web
    told "says so" 'the newest snapshot of the copy .*/copy is 8 days'
    told "what to do" 'bkd ship web --to'
    is 0 "a clock that was set back a day" shifted -1d "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" status erp
    told "is told" "this host's clock is (2[34] h|24 h) before a snapshot of policy"
    # A schedule that nobody looks at: one slot every ten minutes, and three hours without a daemon.
    policy idle 'schedule: "*/10 * * * *"' 'timezone: UTC'
    run_bkd init idle -q && run_bkd backup idle -q
    run_bkd status idle >"$tree/out" 2>&1
    says "when the next run is" 'Next run +20[^ ]*0:00Z, in '
    shifted +3h "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" status idle >"$tree/out" 2>&1
    told "nobody runs what is due" 'idle: AT RISK .*nobody ran what was due at 20.* -> start the daemon'
    run_bkd pause idle >/dev/null 2>&1
    shifted +3h "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" status idle >"$tree/out" 2>&1
    told "unless it is paused" 'idle: PROTECTED .*paused for 3 h by '
    # A disk that fills up: 6 MB a day of 64.
    mkdir "$tree/disk"
    if mount -t tmpfs -o size=64m none "$tree/disk" 2>/dev/null; then
        sed -i "s#^repository: .*#repository: $tree/disk/repo#; s#^schedule.*##" "$config/policies/idle.yaml"
        rm -rf "$state/policies/idle"
        run_bkd init idle -q
        for day in 0 1 2 3 4; do
            head -c 6000000 /dev/urandom >"$source/day$day"
            shifted "+${day}d" "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup idle -q
        done
        shifted +4d "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" status idle >"$tree/out" 2>&1
        told "a disk that fills up is foreseen" "the disk of the repository is full in [567] days: [0-9.]+ MiB are free, and 5.[0-9] MiB come each day"
        told "what to do" 'make room, or keep less'
        umount "$tree/disk"
    else
        echo "# no tmpfs can be mounted here: a disk that fills up is not tried"
    fi
else
    echo "# there is no faketime: what time does is not tried"
fi
finish
