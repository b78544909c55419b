#!/bin/sh
# Databases under load, backed up by the recipes in policies/examples and restored as they say into a server that runs and answers: PostgreSQL with pgbench as
# a dump, as a base backup in one stream and as a base backup directory; SQLite with a writer. Prints TAP. BKD_BIN is the directory of bkd and bkd-restore,
# BKD_SOURCE that of the sources. The server is a private one of Debian's PostgreSQL; root runs it as the user postgres.
. "$(dirname "$0")/lib.sh"
examples=${BKD_SOURCE:-$(dirname "$0")/../..}/policies/examples

pg_bin=
for dir in /usr/lib/postgresql/*/bin; do [ ! -x "$dir/pg_ctl" ] || pg_bin=$dir; done
if [ -z "$pg_bin" ] || ! command -v sqlite3 >/dev/null; then
    echo "1..0 # SKIP postgresql and sqlite3 are not installed"
    exit 0
fi
chmod 711 "$tree"
db=$tree/db socket=$tree/db/s main=5432 other=5433
mkdir -m 755 "$db" "$socket"
if [ "$(id -u)" = 0 ]; then
    as_postgres() { runuser -u postgres -- env -C / HOME=/nonexistent PATH="$pg_bin:$PATH" PGHOST="$socket" "$@"; }
    chown -R postgres "$db"
    rights= # as the recipes say
else
    as_postgres() { env -C / PATH="$pg_bin:$PATH" PGHOST="$socket" "$@"; }
    rights='/^ *user: postgres$/d; s/runuser, -u, postgres, --, //'
fi

# serve DATA PORT: starts a server on a directory of data that is there, and waits until it answers.
serve() { as_postgres pg_ctl -D "$1" -s -w -t 60 -l "$1.log" -o "-c listen_addresses= -k $socket -p $2 -c fsync=off" start; }
unserve() { [ ! -e "$1/postmaster.pid" ] || as_postgres pg_ctl -D "$1" -s -m immediate stop; }
make_server() { as_postgres initdb -D "$1" -A trust --no-sync >/dev/null && serve "$1" "$2"; }
ask() { as_postgres psql -p "$1" -d erp -X -A -t -q -c "$2"; } # PORT QUERY
load=
stop_load() { # pgbench itself ends when the server ends its connections; what was started is a shell that waits for it
    ask $main "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'pgbench'" >"$tree/ended" 2>&1
    [ -z "$load" ] || kill "$load" 2>/dev/null
    wait ${load:+"$load"} 2>/dev/null
    load=
}
clean_up() {
    stop_load
    for d in "$db"/*; do unserve "$d" 2>/dev/null; done
    rm -rf "$tree"
}
trap clean_up EXIT

# recipe NAME [SED]: the policy is this example, on the paths and the server of this scenario.
recipe() {
    sed -e "${2:-}" -e "s#^repository: .*#repository: $repo#" -e "s#/var/lib/postgresql/bkd-base#$db/staging#" -e "s#/srv/app#$tree/app#" -e "s#/var/lib/app/copy#$tree/copy#" \
        -e "/^ *command: \\[pg_/{p; s#command:.*#env: [\"PGHOST=$socket\", \"PGPORT=$main\"]#}" -e "s#pg_basebackup, -D, /#env, PGHOST=$socket, PGPORT=$main, &#" \
        -e "$rights" "$examples/$1.yaml" >"$config/policies/p.yaml"
}
fits() { if eval "$2"; then ok "$1"; else bad "$1"; fi; } # TITLE TEST

marker="SELECT count(*) || ' ' || md5(string_agg(id || note, ',' ORDER BY id)) FROM marker"
# Each transaction of pgbench adds the same amount in four places: equal sums mean that none was caught half way.
sums="SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)
    AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches)
    AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history)"
answers() { # of the server on the other port
    ask $other "$marker" >"$tree/out" 2>&1
    fits "it answers as before" '[ "$(cat "$tree/out")" = "$answer" ]'
    ask $other "$sums" >"$tree/out" 2>&1
    fits "with whole transactions only" '[ "$(cat "$tree/out")" = t ]'
    transactions=$(ask $other 'SELECT count(*) FROM pgbench_history')
    fits "with $transactions transactions of the load" '[ "${transactions:-0}" -ge 50 ]'
}

if make_server "$db/main" $main >"$tree/out" 2>&1; then ok "a server"; else bad "a server"; finish; fi
as_postgres createdb -p $main erp
as_postgres pgbench -p $main -i -q -s 3 erp >"$tree/out" 2>&1
ask $main "CREATE TABLE marker AS SELECT id, md5(id::text) AS note FROM generate_series(1, 5000) id; CREATE ROLE keeper; ALTER TABLE marker OWNER TO keeper"
answer=$(ask $main "$marker")
as_postgres pgbench -p $main -n -c 2 -R 100 -T 600 erp >"$tree/load" 2>&1 &
load=$!
tries=0
while [ "$(ask $main 'SELECT count(*) FROM pgbench_history')" -lt 50 ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done

# --- a dump, as a stream -----------------------------------------------------------------------------------------------------
host dump '{recipients: recipients.txt}'
recipe postgresql-dump
run_bkd init p >"$tree/out" 2>&1
is 0 "pg_dump as a stream, under load" backup
is 0 "and once more" backup
make_server "$db/fresh" $other
recover dump latest stream/globals.sql 2>"$tree/out" | as_postgres psql -p $other -d postgres -q >>"$tree/out" 2>&1
as_postgres createdb -p $other erp
recover dump latest stream/erp.dump 2>"$tree/out" | as_postgres pg_restore -p $other -d erp --exit-on-error >>"$tree/out" 2>&1
fits "pg_restore takes what dump gives" "[ $? = 0 ]"
answers
fits "and the table has its owner" "[ \"\$(ask $other \"SELECT tableowner FROM pg_tables WHERE tablename = 'marker'\")\" = keeper ]"
unserve "$db/fresh"
recipe postgresql-dump 's/-Z0, erp/-Z0, nosuchdatabase/'
is 1 "pg_dump of a database that is not there" backup
says "it says what pg_dump said" "stream 'erp.dump': 'pg_dump' exited with status 1;.* it said: .*nosuchdatabase.* does not exist"

# --- a base backup, as a stream ------------------------------------------------------------------------------------------------
host base '{recipients: recipients.txt}'
recipe postgresql-base
run_bkd init p >"$tree/out" 2>&1
is 0 "pg_basebackup as a stream, under load" backup
whole=$(field bytes_stored)
is 0 "and once more" backup
stored=$(field bytes_stored)
fits "the next one stores less: $stored bytes, not $whole" "[ ${stored:-$whole} -lt $((whole / 2)) ]"
as_postgres mkdir -m 700 "$db/base"
recover dump latest stream/base.tar 2>"$tree/out" | as_postgres tar -x -C "$db/base"
fits "tar takes what dump gives" "[ $? = 0 ]"
is 0 "a server runs on it" serve "$db/base" $other
answers
unserve "$db/base"

# --- a base backup directory, made by a hook -------------------------------------------------------------------------------------
host directory '{recipients: recipients.txt}'
recipe postgresql-directory
run_bkd init p >"$tree/out" 2>&1
is 0 "a base backup directory made by a hook, under load" backup
is 0 "and once more" backup
stored=$(field bytes_stored)
fits "the next one stores less: $stored bytes" "[ ${stored:-$whole} -lt $((whole / 2)) ]"
is 0 "restored as the data directory of a server" recover restore latest "$db/staging" --strip-components "$(printf %s "$db/staging" | tr -cd / | wc -c)" \
    --target "$db/directory" -q
is 0 "a server runs on it" serve "$db/directory" $other
answers
unserve "$db/directory"
stop_load
fits "the load has ended" '[ "$(ask $main "SELECT count(*) FROM pg_stat_activity WHERE application_name = '"'pgbench'"'")" = 0 ]'

# --- what compression costs ------------------------------------------------------------------------------------------------------
# Rows that do not compress to nothing, of which a few change.
ask $main "CREATE TABLE details AS SELECT id, md5(id::text) || md5((id * 7)::text) AS note FROM generate_series(1, 150000) id"
for level in 0 6; do
    host "z$level" '{recipients: recipients.txt}'
    recipe postgresql-dump "s/-Z0/-Z$level/"
    run_bkd init p >"$tree/out" 2>&1
    backup >"$tree/out" 2>&1
    eval "first_$level=$(field bytes_stored)"
done
ask $main "UPDATE details SET note = note || '!' WHERE id % 20000 = 1"
for level in 0 6; do
    home=$tree/z$level repo=$tree/z$level/repository state=$tree/z$level/state config=$tree/z$level/config
    backup >"$tree/out" 2>&1
    eval "second_$level=$(field bytes_stored)"
done
echo "# stored on the first and the second night: -Z0 $first_0 and $second_0 bytes, -Z6 $first_6 and $second_6 bytes"
fits "a second night of -Z0 stores less than a tenth of that of -Z6" "[ $((second_0 * 10)) -lt $second_6 ]"
unserve "$db/main"

# --- SQLite ------------------------------------------------------------------------------------------------------------------------
host sqlite '{recipients: recipients.txt}'
mkdir "$tree/app"
app=$tree/app/app.db
sqlite3 "$app" "PRAGMA journal_mode = wal; CREATE TABLE marker AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n LIMIT 100000)
    SELECT id, hex(id * 7919) AS note FROM n; CREATE TABLE log (a INTEGER PRIMARY KEY, b INTEGER); CREATE TABLE totals (b INTEGER); INSERT INTO totals VALUES (0)" >"$tree/out"
write_rows() { # each transaction adds the same in two places
    i=0
    while [ ! -e "$tree/enough" ]; do
        i=$((i + 1))
        sqlite3 -cmd '.timeout 5000' "$app" "BEGIN IMMEDIATE; INSERT INTO log (b) VALUES ($i); UPDATE totals SET b = b + $i; COMMIT" || return
    done
}
write_rows >"$tree/load" 2>&1 &
load=$!
sqlite_answer() { sqlite3 "$1" "SELECT count(*), sum(id), max(note) FROM marker; SELECT (SELECT coalesce(sum(b), 0) FROM log) = (SELECT b FROM totals)" | tr '\n' ' '; }
sqlite_answers() { # of FILE
    is 0 "it is read" sqlite3 "$1" 'PRAGMA integrity_check'
    says "it is sound" '^ok$'
    sqlite_answer "$1" >"$tree/out" 2>&1
    fits "and answers as before" '[ "$(cat "$tree/out")" = "$answer" ]'
}
answer=$(sqlite_answer "$app")
recipe sqlite
run_bkd init p >"$tree/out" 2>&1
is 0 "SQLite by .backup, with a writer" backup
is 0 "and once more" backup
stored=$(field bytes_stored)
fits "the next one stores little: $stored bytes" "[ ${stored:-200000} -lt 200000 ]"
is 0 "restored" restore latest
fits "the database itself is left out" '[ ! -e "$tree/restored$app" ]'
sqlite_answers "$tree/restored$tree/copy/app.db"
recipe sqlite
{ sed -n 's/^#   - stream:/sources:\n  - stream:/p; /^repository:/p; /^encryption:/p' "$config/policies/p.yaml"; } >"$tree/p" && mv "$tree/p" "$config/policies/p.yaml"
is 0 "SQLite by VACUUM INTO a stream, with a writer" backup --accept-source-change
recover dump latest stream/app.db >"$tree/dumped.db" 2>"$tree/out"
sqlite_answers "$tree/dumped.db"
: >"$tree/enough"
wait "$load"
load=
finish
