#!/bin/sh
# bkd verify and bkd rto: what restores is proven and timed, what does not never passes, every kind of check does what it says, and nothing stays behind.
# Prints TAP. BKD_BIN is the directory of bkd and bkd-restore.
. "$(dirname "$0")/lib.sh"

verify() { run_bkd verify p --json "$@"; }
# number KEY: a number of the last summary.
value() { tail -n 3 "$tree/out" | sed -n "s/.*\"type\":\"summary\".*\"$1\":\\([0-9a-z]*\\).*/\\1/p"; }
fits() { if eval "$2"; then ok "$1"; else bad "$1"; fi; } # TITLE TEST
# The last line of JSON: whatever it came to, it is the summary.
concludes() { grep '^{' "$tree/out" | tail -n 1 | grep -Eq "\"type\":\"summary\".*$1"; }
leftovers() { find "$scratch" -mindepth 1 | wc -l; }
# policy LINE…: what is below `verify`, and the objectives.
policy() {
    { printf 'sources: [%s]\nrepository: %s\noffsite: [%s]\n' "$source" "$repo" "$tree/copy"
      printf '%s\n' "$objectives" "verify:" "  scratch: $scratch" "$@"; } >"$config/policies/p.yaml"
}

host h "{allow_single_recipient: false}"
scratch=$tree/scratch
objectives="objectives: {rto: 1h}"
mkdir "$scratch"
inside=${source#/}
mkdir -p "$source/erp/deep"
seq 1 5000 >"$source/erp/numbers"
head -c 2000000 /dev/urandom >"$source/erp/random"
ln -s /etc/hostname "$source/erp/outside"
printf 'x' >"$source/erp/deep/x"
policy
run_bkd init p >/dev/null 2>&1
is 0 "a snapshot and its copy" backup

is 0 "it is proven from the copy elsewhere" verify
says "it says so" '"proven":true'
says "and from where" "\"from\":\"$tree/copy\""
sum=$(sed -n 's/.*"phases":{\([^}]*\)}.*/\1/p' "$tree/out" | tr ',' '\n' | sed 's/.*://' | awk '{ s += $1 } END { print s }')
fits "the phases add up to the whole" '[ "$sum" = "$(value rto_ms)" ]'
fits "the number of files is that of find" '[ "$(value files)" = "$(find "$source" -type f | wc -l)" ]'
fits "nothing stays in the scratch space" '[ "$(leftovers)" = 0 ]'
is 0 "from the repository, a snapshot drawn at random" verify --from repository --snapshot random
says "from there" "\"from\":\"$repo\""
is 0 "and with a configuration directory told from here" sh -c "cd '$config/..' && '$BKD_BIN/bkd' --config-dir config --state-dir '$state' verify p --from repository --sample 1"
is 0 "a sample" verify --sample 2
says "says how many were drawn, and of how many" '"mode":"sample".*"drawn_files":2,"snapshot_files":3'
run_bkd status p --json >"$tree/out" 2>&1
says "status has the claim, with its n" '"samples":\{"days":30,"nights":[0-9]+,"drawn_files":[0-9]+,"bad_files":0,"bad_share_at_most":0\.[0-9]+,"confidence_percent":95\}'
run_bkd status p >"$tree/text" 2>&1
tr -s ' \n' '  ' <"$tree/text" >"$tree/out"
says "in words, too" 'Samples at most [0-9.e+]+ % of files cannot be restored, with 95 % confidence, n = [0-9]+'
is 2 "a sample that is none is refused" verify --sample lots
is 2 "a copy that is none is refused" verify --from /nowhere
is 1 "a snapshot that is not there is refused" verify --snapshot 77

# ---- checks
policy "  checks:" "    - {type: command, run: [\"/bin/sh\", \"-c\", \"test -s $inside/erp/numbers\"]}" \
    "    - {type: file, file: $inside/erp/numbers, min_size: 1KiB, max_size: 1MiB, pattern: \"^4999\$\", sha256: $(sha256sum "$source/erp/numbers" | cut -d ' ' -f 1)}"
is 0 "checks that pass" verify
says "are listed" '"type":"command","name":"command","passed":true.*"type":"file","name":"file","passed":true'
fails() { # TITLE CHECK PATTERN
    policy "  checks:" "    - $2"
    is 4 "$1" verify
    says "... and says why" "$3"
}
fails "a command that fails" '{type: command, name: erp, run: ["/bin/sh", "-c", "echo broken >&2; exit 3"]}' '"name":"erp","passed":false.*exited with status 3: broken'
fails "a command that hangs" '{type: command, timeout: 1s, run: [sleep, "60"]}' 'within its timeout'
fails "a program that is not there" '{type: command, run: [no-such-program]}' "there is no program 'no-such-program'"
fails "a file that is not there" "{type: file, file: $inside/erp/gone}" "open .*erp/gone"
fails "a file of the live system behind a link" "{type: file, file: $inside/erp/outside}" 'open .*erp/outside'
fails "a hash that is another" "{type: file, file: $inside/erp/numbers, sha256: $(printf %064d 0)}" 'has the SHA-256'
fails "a pattern that is nowhere" "{type: file, file: $inside/erp/numbers, pattern: \"^5001\$\"}" 'no line of'
policy "  checks: [{type: file}, {type: postgres}, {type: sqlite, file: a, run: [x]}]"
is 2 "checks that lack something, or have too much, are mistakes of the policy" run_bkd policy check p
says "each is named" "needs 'file'"
says "also what is one of two" "either 'directory' or 'dump'"
says "also what does not belong" "has no 'run'"

if command -v sqlite3 >/dev/null; then
    : >"$source/erp/empty"
    sqlite3 "$source/erp/db" "CREATE TABLE t (x); INSERT INTO t VALUES (1), (2), (42)"
    policy "  checks: [{type: sqlite, file: $inside/erp/db, query: \"select count(*), max(x) from t\", expect: \"3|42\"}]"
    backup >"$tree/out" 2>&1
    is 0 "a database of SQLite answers" verify
    fails "another answer is not right" "{type: sqlite, file: $inside/erp/db, query: \"select 1\", expect: \"2\"}" "gives '1', and '2' was expected"
    fails "a file that is no database" "{type: sqlite, file: $inside/erp/random}" 'not a database'
    fails "an endless query" "{type: sqlite, file: $inside/erp/db, timeout: 1s, query: \"with recursive c(x) as (select 1 union all select x from c) select count(*) from c\"}" 'it took longer than 1'
    fails "a database that lost all its bytes" "{type: sqlite, file: $inside/erp/empty}" 'the file is empty'
else
    echo "ok $((number += 1)) - sqlite # SKIP sqlite3 is not installed"
fi

if command -v python3 >/dev/null; then
    port=$((20000 + $$ % 20000))
    policy "  checks:" "    - {type: http, run: [python3, -m, http.server, \"$port\", --bind, 127.0.0.1], url: \"http://127.0.0.1:$port/$inside/erp/numbers\", pattern: \"^4999\$\"}"
    is 0 "a web server on the restored tree answers" verify
    fits "and does not run any more" '! python3 -c "import socket; socket.create_connection((\"127.0.0.1\", $port))" 2>/dev/null'
    fails "a page that is not there" "{type: http, run: [python3, -m, http.server, \"$port\", --bind, 127.0.0.1], url: \"http://ana:secret@127.0.0.1:$port/nothing?key=secret\"}" "'http://127.0.0.1:$port/nothing\?\.\.\.' answers with status 404, and 200 was expected"
    python3 -m http.server "$port" --bind 127.0.0.1 -d "$source" >/dev/null 2>&1 &
    live=$!
    for _ in $(seq 100); do ! python3 -c "import socket; socket.create_connection((\"127.0.0.1\", $port))" 2>/dev/null || break; sleep 0.1; done
    fails "the live server answers in the place of the restored one" "{type: http, run: [sleep, \"60\"], url: \"http://127.0.0.1:$port/\"}" 'something else listens there'
    kill $live
else
    echo "ok $((number += 1)) - http # SKIP python3 is not installed"
fi

pg_bin=
for dir in /usr/lib/postgresql/*/bin; do [ ! -x "$dir/pg_ctl" ] || pg_bin=$dir; done
if [ -n "$pg_bin" ]; then
    if [ "$(id -u)" = 0 ]; then as_postgres() { runuser -u postgres -- env -C / PATH="$pg_bin:$PATH" "$@"; }; else as_postgres() { env -C / PATH="$pg_bin:$PATH" "$@"; }; fi
    chmod 711 "$tree" "$tree/h"
    chmod 755 "$source"
    mkdir "$source/pg" "$tree/pg"
    [ "$(id -u)" != 0 ] || chown postgres "$source/pg" "$tree/pg"
    as_postgres initdb -D "$source/pg/data" -A trust --no-sync >/dev/null
    as_postgres pg_ctl -D "$source/pg/data" -s -w -l "$tree/pg/log" -o "-c listen_addresses= -k $tree/pg -c fsync=off" start
    as_postgres psql -h "$tree/pg" -X -q -d postgres -c "CREATE DATABASE erp" -c '\c erp' -c "CREATE TABLE t AS SELECT generate_series(1, 42) AS x"
    as_postgres pg_dump -h "$tree/pg" -Fc erp >"$source/erp.dump"
    as_postgres pg_dump -h "$tree/pg" erp >"$source/erp.sql"
    as_postgres pg_ctl -D "$source/pg/data" -s -w stop
    ask='database: erp, query: "select count(*) from t", expect: "42"'
    policy "  checks:" "    - {type: postgres, directory: $inside/pg/data, $ask}" "    - {type: postgres, dump: $inside/erp.dump, $ask}" "    - {type: postgres, dump: $inside/erp.sql, $ask}"
    backup >"$tree/out" 2>&1
    is 0 "PostgreSQL starts on the restored directory, and takes dumps of both kinds" verify
    fits "no server stays behind" '! pgrep -f "$scratch" >/dev/null'
    fails "an answer that is another" "{type: postgres, directory: $inside/pg/data, database: erp, query: \"select 1\", expect: \"2\"}" "gives '1', and '2' was expected"
    fails "a directory that is none of PostgreSQL" "{type: postgres, directory: $inside/erp}" 'is no data directory'
else
    echo "ok $((number += 1)) - postgres # SKIP postgresql is not installed"
fi

# ---- what is promised, and what does not restore
objectives="objectives: {rto: 1s}"
policy '  checks: [{type: command, run: [sleep, "1.2"]}]'
is 5 "slower than promised" verify
fits "the summary is the last line" 'concludes "\"proven\":true.*\"objective_rto_ms\":1000"'
says "is proven all the same" '"proven":true'
objectives=
policy
is 0 "nothing is promised" verify
mv "$config/keys/operations.txt" "$tree/operations.txt"
is 3 "without an identity it is looked through, and not proven" verify
says "it says so" '"mode":"keyless".*"proven":false.*"rto_ms":null'
object=$(find "$tree/copy/objects" -type f | head -n 1)
mv "$object" "$tree/kept"
is 4 "an object that is missing is seen without one, too" verify
fits "and is why" 'concludes "\"mode\":\"keyless\".*\"proven\":false.*finds damage"'
mv "$tree/kept" "$object"
is 0 "with one that is brought" verify -i "$tree/operations.txt"
is 9 "one that is named must be there" verify -i "$tree/nothing.txt"
cp "$tree/operations.txt" "$config/keys/operations.txt"

# The objects of the copy, one after the other: a flipped byte is never proven.
for object in $(find "$tree/copy/objects" -type f | head -n 4); do
    size=$(stat -c %s "$object")
    cp "$object" "$tree/kept"
    chmod u+w "$object"
    printf '\377' | dd of="$object" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
    cmp -s "$object" "$tree/kept" && printf '\001' | dd of="$object" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
    is 4 "a flipped byte in the copy" verify --snapshot latest
    fits "is not proven" 'concludes "\"proven\":false"'
    cp "$tree/kept" "$object"
done
is 0 "whole again" verify

# An old state of the copy, sound in itself, is not what was brought there.
newest=$(ls "$tree/copy"/heads/*/* | sort -V | tail -n 1)
number_of=${newest##*/}
mv "$newest" "$tree/newest"
is 4 "an old state of the copy that was put back" verify
fits "is not proven, and the summary says why" 'concludes "\"snapshot\":[0-9]*,.*\"proven\":false.*rolled back"'
is 4 "nor is one drawn from it" verify --snapshot random
is 4 "a check names what is missing" run_bkd check p --from "$tree/copy"
says "by its name" "heads/[0-9a-f]*/$number_of"
is 4 "nor is the one that is gone just unknown" verify --snapshot "$number_of"
is 0 "what is left can be proven by its number" verify --snapshot $((number_of - 1))
mv "$tree/newest" "$newest"
first=$(ls "$tree/copy"/heads/*/1)
mv "$first" "$tree/first"
is 4 "a head that was taken out before it, either" verify --snapshot 1
says "it says so" 'the head of snapshot 1 .* is gone, and later ones are there'
mv "$tree/first" "$first"
mv "$newest" "$tree/newest"
for drill in by-hand negative; do is 4 "no drill passes on it: $drill" run_bkd drill $drill p; done
printf 'systems: [{name: s, policy: p, targets: [{scenario: host-loss, to: directory, path: %s}]}]\nsteps: [{id: a, type: restore, system: s}]\n' "$tree/standby" >"$tree/plan.yaml"
mkdir -p "$config/plans"
cp "$tree/plan.yaml" "$config/plans/plan.yaml"
is 1 "nor the rehearsal of a plan" run_bkd plan run plan --rehearse
is 0 "after a disaster a plan restores what is left" run_bkd plan run plan --yes --scenario host-loss
says "and says so" 'was rolled back, damaged or exchanged'
mv "$tree/newest" "$newest"
mv "$tree/copy/heads" "$tree/heads"
is 4 "a copy that lost all its heads" verify
mv "$tree/heads" "$tree/copy/heads"
is 0 "it is back" verify
newest=$(ls "$repo"/heads/*/* | sort -V | tail -n 1)
mv "$newest" "$tree/newest"
is 4 "an old state of the repository" verify --from repository
mv "$tree/newest" "$newest"
mv "$tree/copy/bkd-repository" "$tree/kept"
is 1 "a copy that is none any more" verify
fits "has a summary, too" 'concludes "\"snapshot\":null,.*\"proven\":false"'
mv "$tree/kept" "$tree/copy/bkd-repository"

# Killed in the middle: the next one tidies up.
policy '  checks: [{type: command, run: [sleep, "30"]}]'
"$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" verify p >/dev/null 2>&1 & # the process itself, not a shell around it
pid=$!
for _ in $(seq 100); do [ "$(leftovers)" -lt 10 ] || break; sleep 0.1; done
kill -9 $pid
wait $pid 2>/dev/null
fits "a killed one leaves its scratch space" '[ "$(leftovers)" != 0 ]'
for _ in $(seq 300); do pgrep -f "bkd-restore .*--target $scratch/" >/dev/null || break; sleep 0.1; done # its bkd-restore is told to end, and still writes until then
policy
is 0 "the next one" verify
fits "removes it" '[ "$(leftovers)" = 0 ]'

# ---- the record
record=$(find "$repo/records" -type f -exec grep -l '^kind proof' {} + | head -n 1)
sed '/BEGIN SSH SIGNATURE/,$d' "$record" >"$tree/text"
sed -n '/BEGIN SSH SIGNATURE/,$p' "$record" >"$tree/signature"
signer=$(ssh-keygen -Y find-principals -s "$tree/signature" -f "$config/keys/allowed_signers")
is 0 "ssh-keygen believes a proof" sh -c "ssh-keygen -Y verify -f '$config/keys/allowed_signers' -I '$signer' -n bkd-record@v1 -s '$tree/signature' <'$tree/text'"
before=$(run_bkd rto p --json | sed -n 's/.*"runs":\([0-9]*\).*/\1/p')
mv "$state" "$state.lost"
run_bkd ship p >"$tree/out" 2>&1
is 0 "another catalogue takes the proofs in" run_bkd rto p --json
says "all of them, each once" "\"runs\":$before,"
is 0 "what was measured" run_bkd rto p --json
says "is told with what it supports" '"type":"rto".*"bound_p90_ms":null,"evidence":"insufficient evidence \([0-9]+ of 29\)'
run_bkd rto p --json --from repository >"$tree/out"
says "apart for each copy" "\"from\":\"$repo\",\"runs\":1,"
is 0 "a package of what was proven in a year without drills" run_bkd evidence pack --period "$(date -u +%Y)" -o "$tree/year.tar.zst" --json
says "has it" '"drills":0,.*"verifications":[1-9]'
is 0 "what would be lost" run_bkd rpo p --json
says "is told by what is proven" '"type":"rpo",.*"proven_ms":[0-9]+,.*"proven_snapshot":[1-9]'
finish
