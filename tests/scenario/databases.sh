#!/bin/sh
# Databases under load, backed up as policies/examples says and restored into a server that runs and answers: PostgreSQL with pgbench as a dump, as a base backup
# in one stream and as a base backup directory; SQLite with a writer. Prints TAP. BKD_BIN is the directory of bkd and bkd-restore. The server is a private one
# of Debian's PostgreSQL; root runs it as the user postgres.
. "$(dirname "$0")/lib.sh"

chmod 711 "$tree"
pg_bin=
for dir in /usr/lib/postgresql/*/bin; do [ ! -x "$dir/pg_ctl" ] || pg_bin=$dir; done
if [ -z "$pg_bin" ] || ! command -v sqlite3 >/dev/null; then
    echo "1..0 # SKIP postgresql and sqlite3 are not installed"
    exit 0
fi
if [ "$(id -u)" = 0 ]; then
    as_postgres() { runuser -u postgres -- env -C / HOME=/nonexistent PATH="$pg_bin:$PATH" PGHOST="$socket" "$@"; }
    stream_user='user: postgres, '
else
    as_postgres() { env -C / PATH="$pg_bin:$PATH" PGHOST="$socket" "$@"; }
    stream_user=
fi
db=$tree/db socket=$tree/db/s
mkdir -m 755 "$db"
mkdir -m 755 "$socket"
[ "$(id -u)" != 0 ] || chown -R postgres "$db"
main=5432 other=5433

# serve DATA PORT: starts a server on a directory of data that is there, and waits until it answers.
serve() { as_postgres pg_ctl -D "$1" -s -w -t 60 -l "$1.log" -o "-c listen_addresses= -k $socket -p $2 -c fsync=off -c max_wal_senders=4" start; }
unserve() { [ ! -e "$1/postmaster.pid" ] || as_postgres pg_ctl -D "$1" -s -m immediate stop; }
make_server() { as_postgres initdb -D "$1" -A trust --no-sync >/dev/null && serve "$1" "$2"; }
ask() { # PORT QUERY: of the database shop
    as_postgres psql -p "$1" -d shop -X -A -t -q -c "$2"
}
load=
stop_load() {
    [ -z "$load" ] || kill "$load" 2>/dev/null
    wait ${load:+"$load"} 2>/dev/null
    load=
}
cleanup_servers() {
    stop_load
    for d in "$db"/*; do unserve "$d" 2>/dev/null; done
    rm -rf "$tree"
}
trap cleanup_servers EXIT

marker="SELECT count(*) || ' ' || md5(string_agg(id || note, ',' ORDER BY id)) FROM marker"
# Each transaction of pgbench adds the same amount in four places: equal sums mean that none was caught half way.
sums="SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)
    AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches)
    AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history)"
answers() { # TITLE PORT
    if [ "$(ask "$2" "$marker" 2>&1 | tee "$tree/out")" = "$answer" ]; then ok "$1 answers as before"; else bad "$1 answers as before"; fi
    if [ "$(ask "$2" "$sums" 2>&1 | tee "$tree/out")" = t ]; then ok "$1 has whole transactions only"; else bad "$1 has whole transactions only"; fi
    history=$(ask "$2" 'SELECT count(*) FROM pgbench_history')
    if [ "${history:-0}" -gt 0 ]; then ok "$1 has $history of the load's transactions"; else bad "$1 has transactions of the load"; fi
}
data_of() { # a directory for a restored server, in $data
    data=$db/$1
    mkdir -m 700 "$data"
    [ "$(id -u)" != 0 ] || chown postgres "$data"
}
with() { # STREAM-OR-PATH [LINE…]: the policy's source, and further lines
    printf 'sources:\n  - %s\nrepository: %s\nencryption: {recipients: recipients.txt}\n' "$1" "$repo" >"$config/policies/p.yaml"
    shift
    [ $# = 0 ] || printf '%s\n' "$@" >>"$config/policies/p.yaml"
}
env="env: [\"PGHOST=$socket\", \"PGPORT=$main\"]"

if make_server "$db/main" $main >"$tree/out" 2>&1; then ok "a server"; else bad "a server"; finish; fi
as_postgres createdb -p $main shop
as_postgres pgbench -p $main -i -q -s 3 shop >"$tree/out" 2>&1
ask $main "CREATE TABLE marker AS SELECT id, md5(id::text) AS note FROM generate_series(1, 5000) id"
answer=$(ask $main "$marker")
as_postgres pgbench -p $main -n -c 2 -R 100 -T 600 shop >"$tree/load" 2>&1 &
load=$!
tries=0
while [ "$(ask $main 'SELECT count(*) FROM pgbench_history')" -lt 50 ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done

# --- a dump, as a stream -----------------------------------------------------------------------------------------------------
host pg '{recipients: recipients.txt}'
with "stream: {name: shop.dump, command: [pg_dump, -Fc, -Z0, shop], $stream_user$env}"
run_bkd init p >"$tree/out" 2>&1
is 0 "pg_dump as a stream, under load" backup
is 0 "and once more" backup
make_server "$db/fresh" $other
as_postgres createdb -p $other shop
recover dump latest stream/shop.dump 2>"$tree/out" | as_postgres pg_restore -p $other -d shop --exit-on-error >>"$tree/out" 2>&1 &&
    ok "pg_restore takes what dump gives" || bad "pg_restore takes what dump gives"
answers "the server it was restored into" $other
unserve "$db/fresh"
with "stream: {name: shop.dump, command: [pg_dump, -Fc, -Z0, nosuchdatabase], $stream_user$env}"
is 1 "pg_dump of a database that is not there" backup
says "it says what pg_dump said" "stream 'shop.dump': 'pg_dump' exited with status 1;.* it said: .*nosuchdatabase.* does not exist"

# --- a base backup, as a stream ------------------------------------------------------------------------------------------------
with "stream: {name: base.tar, command: [pg_basebackup, -D, '-', -Ft, -X, fetch, -c, fast], $stream_user$env}"
is 0 "pg_basebackup as a stream, under load" backup
whole=$(field bytes_stored)
is 0 "and once more" backup
stored=$(field bytes_stored)
[ "$stored" -lt $((whole / 2)) ] && ok "the next one takes less: $stored bytes, not $whole" || bad "the next one takes less: $stored bytes, not $whole"
data_of base
recover dump latest stream/base.tar 2>"$tree/out" | as_postgres tar -x -C "$data" && ok "tar takes what dump gives" || bad "tar takes what dump gives"
if serve "$data" $other >"$tree/out" 2>&1; then ok "a server runs on it"; else bad "a server runs on it"; cat "$data.log" >"$tree/out"; fi
answers "it" $other
unserve "$data"

# --- a base backup directory, made by a hook -------------------------------------------------------------------------------------
data_of staging
printf '#!/bin/sh\nset -e\nrm -rf "%s/base"\nexec pg_basebackup -D "%s/base" -Fp -X stream -c fast -h %s -p %s\n' "$data" "$data" "$socket" $main >"$tree/make-base"
chmod 755 "$tree/make-base"
runuser=${stream_user:+runuser, -u, postgres, --, }
with "path: $data" "hooks: {before: [${runuser}$tree/make-base]}"
is 0 "a base backup directory made by a hook, under load" backup
is 0 "and once more" backup
stored=$(field bytes_stored)
[ "$stored" -lt $((whole / 2)) ] && ok "the next one takes less: $stored bytes" || bad "the next one takes less: $stored bytes"
is 0 "restored" restore latest
chmod 711 "$tree/restored"
restored=$tree/restored$data/base
mv "$restored" "$db/directory"
if serve "$db/directory" $other >"$tree/out" 2>&1; then ok "a server runs on it"; else bad "a server runs on it"; fi
answers "it" $other
unserve "$db/directory"
stop_load

# --- what compression costs ------------------------------------------------------------------------------------------------------
# Rows that do not compress to nothing, of which a few change.
ask $main "CREATE TABLE details AS SELECT id, md5(id::text) || md5((id * 7)::text) AS note FROM generate_series(1, 150000) id"
for level in 0 6; do
    host "z$level" '{recipients: recipients.txt}'
    with "stream: {name: shop.dump, command: [pg_dump, -Fc, -Z$level, shop], $stream_user$env}"
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
[ $((second_0 * 10)) -lt "$second_6" ] && ok "a second night of -Z0 takes less than a tenth of that of -Z6" || bad "a second night of -Z0 takes less than a tenth of that of -Z6"
unserve "$db/main"

# --- SQLite ------------------------------------------------------------------------------------------------------------------------
host sqlite '{recipients: recipients.txt}'
app=$tree/app.db copy=$tree/copy
mkdir -m 700 "$copy"
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
sqlite_answers() { # TITLE FILE
    if [ "$(sqlite3 "$2" 'PRAGMA integrity_check' 2>&1 | tee "$tree/out")" = ok ]; then ok "$1 is sound"; else bad "$1 is sound"; fi
    if [ "$(sqlite3 "$2" "SELECT count(*), sum(id), max(note) FROM marker; SELECT (SELECT sum(b) FROM log) = (SELECT b FROM totals)" | tee "$tree/out" | tr '\n' ' ')" = "$answer" ]; then
        ok "$1 answers as before"; else bad "$1 answers as before"; fi
}
answer=$(sqlite3 "$app" "SELECT count(*), sum(id), max(note) FROM marker; SELECT 1" | tr '\n' ' ')
with "path: $copy" "hooks: {before: [sqlite3, $app, '.timeout 60000', '.backup $copy/app.db']}"
run_bkd init p >"$tree/out" 2>&1
is 0 "SQLite by .backup, with a writer" backup
is 0 "and once more" backup
stored=$(field bytes_stored)
[ "$stored" -lt 200000 ] && ok "the next one takes little: $stored bytes" || bad "the next one takes little: $stored bytes"
is 0 "restored" restore latest
sqlite_answers "it" "$tree/restored$copy/app.db"
with "stream: {name: app.db, command: [sh, -c, 'set -e; d=\$(mktemp -d); trap \"rm -rf \$d\" EXIT; sqlite3 $app \".timeout 60000\" \"VACUUM INTO \\\"\$d/app.db\\\"\"; cat \"\$d/app.db\"']}"
is 0 "SQLite by VACUUM INTO a stream, with a writer" backup
recover dump latest stream/app.db >"$tree/dumped.db" 2>"$tree/out"
sqlite_answers "it" "$tree/dumped.db"
: >"$tree/enough"
wait "$load"
load=
finish
