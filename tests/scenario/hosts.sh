#!/bin/sh
# Three hosts, a PostgreSQL server, an application that reads it and a web server in front, are backed up into an append-only place elsewhere. A drill of the recovery plan
# leaves them alone; then they are destroyed, and the plan (policies/examples/plans/three-hosts.yaml) brings them back on stand-bys where nothing of bkd is installed, from
# that copy alone. Each host is a network, a process and a mount namespace of its own with its own root directory and a real sshd. bkd or ssh killed in the middle leaves no
# keys on a stand-by. Prints TAP. BKD_BIN is the directory of bkd and bkd-restore, BKD_SOURCE that of the sources.
. "$(dirname "$0")/lib.sh"
example=${BKD_SOURCE:-$(dirname "$0")/../..}/policies/examples/plans/three-hosts.yaml

skip() { echo "1..0 # SKIP $1"; exit 0; }
fits() { if eval "$2"; then ok "$1"; else bad "$1"; fi; } # TITLE TEST
pg_bin=
for dir in /usr/lib/postgresql/*/bin; do [ ! -x "$dir/pg_ctl" ] || pg_bin=$dir; done
[ "$(id -u)" = 0 ] || skip "namespaces with roots of their own take root"
for program in ip unshare curl /usr/sbin/sshd /usr/bin/python3 "${pg_bin:-postgresql}/initdb"; do
    command -v "$program" >/dev/null || skip "$program is not installed"
done
[ -L /bin ] || skip "/bin is not in /usr"
prefix=bkd$$-
switch=${prefix}switch
running= # NAME=PID of the hosts that are on

power_off() { # NAME: at once, with all that runs there
    for host in $running; do
        [ "${host%=*}" != "$1" ] || { kill -KILL "${host#*=}"; wait "${host#*=}"; } 2>/dev/null
    done
}
clean_up() {
    trap '' INT TERM
    kill ${plan:+"$plan"} ${agent:+"$agent"} 2>/dev/null
    for host in $running; do power_off "${host%=*}"; done
    for ns in $(ip netns list | sed -n "s/^\(${prefix}[a-z-]*\).*/\1/p"); do ip netns del "$ns"; done
    rm -rf "$tree"
}
trap clean_up EXIT
{ ip netns add "$switch" && ip -n "$switch" link add br0 type bridge && ip -n "$switch" link set br0 up && unshare --mount --pid --fork true; } 2>"$tree/out" ||
    skip "namespaces cannot be made here: $(head -n 1 "$tree/out")"

# ---- the hosts

address_of() { case $1 in vault) n=9 ;; office) n=10 ;; db) n=11 ;; app) n=12 ;; web) n=13 ;; standby-db) n=21 ;; standby-app) n=22 ;; *) n=23 ;; esac; echo "10.78.0.$n"; }
plug_in() { # NAME
    ip netns add "$prefix$1"
    ip -n "$switch" link add "$1" type veth peer name eth0 netns "$prefix$1"
    ip -n "$switch" link set "$1" master br0 up
    ip -n "$prefix$1" addr add "$(address_of "$1")/24" dev eth0
    ip -n "$prefix$1" link set eth0 up
    ip -n "$prefix$1" link set lo up
}
# The first process of a host, in namespaces of its own. The machine's /usr is what the hosts have in common, read-only.
cat >"$tree/init" <<'END'
set -e
root=$1
mount --make-rprivate /
mount --bind /usr "$root/usr"
mount -o remount,bind,ro "$root/usr"
[ ! -d "$root/opt/bkd" ] || mount --bind "$2" "$root/opt/bkd"
mount -t proc proc "$root/proc"
for at in dev run; do mount -t tmpfs tmpfs "$root/$at"; done
for file in null zero full random urandom tty; do : >"$root/dev/$file"; mount --bind "/dev/$file" "$root/dev/$file"; done
ln -s /proc/self/fd "$root/dev/fd"
mkdir -m 1777 "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mkdir "$root/run/sshd"
mkdir -m 1777 "$root/run/postgresql"
exec env -i PATH=/usr/sbin:/usr/bin LANG=C.UTF-8 chroot "$root" /usr/sbin/sshd -D -f /etc/ssh/sshd_config -E /var/log/sshd
END
# boot NAME NAMES [bkd]: NAMES are the hosts it knows by name, with the stand-bys for those that have one; bkd: it is installed there.
boot() {
    root=$tree/hosts/$1
    mkdir -p "$root/usr" "$root/etc/ssh" "$root/proc" "$root/dev" "$root/run" "$root/var/log" "$root/var/lib/bkd" "$root/srv" ${3:+"$root/opt/bkd"}
    mkdir -m 1777 "$root/tmp"
    mkdir -m 700 "$root/root" "$root/root/.ssh"
    install -d -o postgres -g postgres "$root/var/lib/postgresql"
    for at in bin sbin lib lib64; do ln -s "usr/$at" "$root/$at"; done
    ln -s /run "$root/var/run"
    cp -r /etc/passwd /etc/group /etc/ld.so.cache /etc/pam.d /etc/security "$root/etc" # runuser asks PAM
    printf '%s\n' "127.0.0.1 localhost" "$2" >"$root/etc/hosts"
    ssh-keygen -q -t ed25519 -N '' -f "$root/etc/ssh/host"
    cp "$tree/admin.pub" "$root/root/.ssh/authorized_keys"
    printf '%s\n' "HostKey /etc/ssh/host" "UsePAM no" "PermitRootLogin yes" "PasswordAuthentication no" "MaxStartups 100" "UseDNS no" "Subsystem sftp internal-sftp" >"$root/etc/ssh/sshd_config"
    echo "$(address_of "$1") $(cut -d ' ' -f 1,2 "$root/etc/ssh/host.pub")" >>"$tree/known"
    plug_in "$1"
    ip netns exec "$prefix$1" unshare --mount --pid --fork --kill-child sh "$tree/init" "$root" "$BKD_BIN" >"$tree/boot.$1" 2>&1 &
    running="$running $1=$!"
}
office() { ip netns exec "${prefix}office" "$@"; }
on() { # NAME COMMAND
    office ssh -F none -i "$tree/admin" -o "UserKnownHostsFile=$tree/known" -o BatchMode=yes -o ConnectionAttempts=20 -o ConnectTimeout=2 "root@$(address_of "$1")" "$2"
}
# The first process of a host, as this machine sees it: /proc/PID/root is the host's root, with what is in memory there.
init_of() { for host in $running; do [ "${host%=*}" != "$1" ] || pgrep -P "${host#*=}"; done; }
# All there is of hosts: files with times and content, and processes with when they were started.
fingerprint() {
    for name in "$@"; do
        (cd "$tree/hosts/$name" && find . ! -path '*/pg_wal/*' -printf '%p %y %m %U %G %s %T@ %C@ %l\n' | sort && # the server notes there what it does by itself
            find . ! -path '*/pg_wal/*' -type f -print0 | sort -z | xargs -0 sha256sum)
        for pid in $(ip netns pids "$prefix$name" | sort -n); do echo "$pid $(cut -d ' ' -f 22 "/proc/$pid/stat") $(tr '\0' ' ' <"/proc/$pid/cmdline")"; done
        ls "/proc/$(init_of "$name")/root/dev/shm"
    done 2>&1
}

ssh-keygen -q -t ed25519 -N '' -f "$tree/admin"
mkdir "$tree/hosts" "$tree/scratch"
chmod 711 "$tree" "$tree/hosts"
plug_in office
boot vault "" bkd
on vault true >"$tree/out" 2>&1 || [ ! -s "$tree/boot.vault" ] || skip "a host with a root of its own cannot be made here: $(head -n 1 "$tree/boot.vault")"
boot db "" bkd
boot app "10.78.0.11 db" bkd
boot web "10.78.0.12 app" bkd
boot standby-db ""
boot standby-app "10.78.0.21 db"
boot standby-web "10.78.0.22 app"

# ---- what they are there for

as_postgres="runuser -u postgres -- env -C / PATH=$pg_bin:/usr/bin HOME=/var/lib/postgresql"
pg_start() { echo "$as_postgres pg_ctl -D $1 -s -w -t 60 -l /var/lib/postgresql/log start"; }
on db "$as_postgres initdb -D /var/lib/postgresql/main -A trust --no-sync >/dev/null &&
    printf '%s\n' \"listen_addresses = '*'\" 'fsync = off' 'autovacuum = off' >>/var/lib/postgresql/main/postgresql.conf &&
    echo 'host erp app 10.78.0.0/24 trust' >>/var/lib/postgresql/main/pg_hba.conf && $(pg_start /var/lib/postgresql/main)" >"$tree/out" 2>&1 || { bad "a PostgreSQL server"; finish; }
cat >"$tree/erp.sql" <<'END'
CREATE DATABASE erp;
CREATE ROLE app LOGIN;
\c erp
CREATE TABLE orders (id int PRIMARY KEY, amount int, note text);
INSERT INTO orders SELECT i, i % 97, (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 20) WHERE i > 0) FROM generate_series(1, 6000) i;
GRANT SELECT ON orders TO app;
VACUUM FREEZE;
CHECKPOINT;
END
sql() { on "$1" "$as_postgres psql -X -A -t -q -d ${2:-erp}"; } # HOST, on standard input
sql db postgres <"$tree/erp.sql" >"$tree/out" 2>&1
answer="SELECT count(*) || ' ' || md5(string_agg(id || note || amount, ',' ORDER BY id)) FROM orders;"
known=$(echo "$answer" | sql db)

mkdir "$tree/hosts/app/srv/app" "$tree/hosts/web/srv/web"
cat >"$tree/hosts/app/srv/app/app.py" <<END
import http.server, subprocess
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = ["$pg_bin/psql", "-h", "db", "-U", "app", "-d", "erp", "-XAtqc", "SELECT count(*) || ' orders of ' || sum(amount) FROM orders"]
        p = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.send_response(200 if p.returncode == 0 else 503)
        self.end_headers()
        self.wfile.write(p.stdout)
http.server.ThreadingHTTPServer(("", 8080), Answer).serve_forever()
END
cat >"$tree/hosts/web/srv/web/web.py" <<'END'
import http.server, urllib.request
page = open("/srv/web/page.html", encoding="utf-8").read()
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = urllib.request.urlopen("http://app:8080/", timeout=10).read().decode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(page.replace("ORDERS", text.strip()).encode())
http.server.ThreadingHTTPServer(("", 80), Answer).serve_forever()
END
echo '<h1>订单 ORDERS</h1>' >"$tree/hosts/web/srv/web/page.html"
for name in app web; do
    echo "setsid -f /usr/bin/python3 /srv/$name/$name.py </dev/null >/var/log/$name 2>&1" >"$tree/hosts/$name/srv/$name/start"
    head -c 200000 /dev/urandom >"$tree/hosts/$name/srv/$name/data"
    chmod 750 "$tree/hosts/$name/srv/$name"
    chown -R "33:33" "$tree/hosts/$name/srv/$name"
    on $name "sh /srv/$name/start"
done
page() { office curl -fsS --retry 20 --retry-delay 1 --retry-all-errors --max-time 5 -o "$tree/page.$1" "http://$(address_of "$1")/"; } # HOST
is 0 "the web server" page web
fits "shows what the application reads from the database" 'grep -Eq "^<h1>订单 6000 orders of 287[0-9]{3}</h1>" "$tree/page.web"'
[ $failed = 0 ] || finish
cp "$tree/out" "$tree/page"

# ---- backups, to a place that can only grow

config=$tree/office/config state=$tree/office/state
mkdir -p "$config/policies" "$config/plans"
bkd() { office "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" "$@"; }
bkd keys init >"$tree/out" 2>&1
ssh-keygen -q -t ed25519 -N '' -f "$config/keys/ssh_ed25519"
grep '^10.78.0.9 ' "$tree/known" >"$config/keys/known_hosts"
chmod 600 "$config/keys/known_hosts"
mkdir "$tree/hosts/vault/srv/vault"
may_add() { sed "s|^|restrict,command=\"/opt/bkd/bkd serve --append-only --root /srv/vault\" |" "$1" >>"$tree/hosts/vault/root/.ssh/authorized_keys"; }
may_add "$config/keys/ssh_ed25519.pub"
for name in db app web; do
    [ $name = db ] && source=/var/lib/postgresql/bkd-base || source=/srv/$name
    { printf '%s\n' "sources: [$source]" "repository: /var/backups/bkd" "encryption: {recipients: recipients.txt}" "offsite: [\"sftp://root@10.78.0.9/$name\"]"
      [ $name != db ] || printf '%s\n' "hooks: {before: [[rm, -rf, $source], [runuser, -u, postgres, --, $pg_bin/pg_basebackup, -D, $source, -Fp, -X, stream, -c, fast]]}"
    } >"$tree/policy"
    mkdir -p "$tree/hosts/$name/etc/bkd/policies"
    cp -a "$config/keys" "$tree/hosts/$name/etc/bkd"
    rm -f "$tree/hosts/$name/etc/bkd/keys/operations.txt" "$tree/hosts/$name/etc/bkd/keys/recovery.txt"
    cp "$tree/policy" "$tree/hosts/$name/etc/bkd/policies/$name.yaml"
    is 0 "host $name is backed up, and its copy is elsewhere" on $name "/opt/bkd/bkd init $name && /opt/bkd/bkd backup $name"
    { printf '%s\n' "repository: {url: \"sftp://root@10.78.0.9/$name\"}" "objectives: {rpo: 24h, rto: 1h}" "verify: {scratch: $tree/scratch, identity: operations.txt"
      [ $name != db ] || printf '%s\n' "  , checks: [{type: postgres, directory: var/lib/postgresql/bkd-base, database: erp, query: \"SELECT count(*) FROM orders\", expect: \"6000\"}]"
      echo "  }"
    } >"$config/policies/$name.yaml"
done
is 0 "another host, which holds the identity and reads the copies only, proves one of them" bkd verify db --json
says "the restored server answers" '"proven":true.*"type":"postgres".*"passed":true'
is 0 "through an account that can only add, where its proof now lies" bkd check-remote db --expect-append-only
fits "as a record of its own" '[ -n "$(find "$tree/hosts/vault/srv/vault/db/records" -type f)" ]'

[ $failed = 0 ] || finish

# ---- the plan

cp "$tree/admin" "$config/keys/standby"
grep -v '^10[.]78[.]0[.]9 ' "$tree/known" >"$config/keys/standby_hosts"
start_of() { echo "[sh, -c, \"sh /srv/$1/start\"]"; }
sed -e "s#standby-db.example.net#10.78.0.21#; s#standby-app.example.net#10.78.0.22#; s#standby-web.example.net#10.78.0.23#" -e "s#^rto: 4h#rto: 10min#" \
    -e "s#\[systemctl, start, postgresql\]#[sh, -c, \"$(pg_start /var/lib/postgresql/bkd-base)\"]#" -e "s#\[systemctl, start, erp\]#$(start_of app)#" \
    -e "s#\[systemctl, start, nginx\]#$(start_of web)#" -e "s#\[curl, -fsS, #[curl, -fsS, --retry, '20', --retry-delay, '1', --retry-connrefused, #" "$example" >"$config/plans/erp.yaml"
sed "s#^rto: 10min#rto: 4h#" "$config/plans/erp.yaml" >"$config/plans/three-hosts.yaml" # no time of it was measured yet
is 0 "the plan of the examples" bkd plan lint three-hosts
fingerprint db app web standby-db standby-app standby-web >"$tree/before"
is 0 "rehearsed as a drill" bkd drill run erp --scenario site-loss --unattended --json
fingerprint db app web standby-db standby-app standby-web >"$tree/after"
says "passes" '"passed":true'
diff "$tree/before" "$tree/after" >"$tree/out" 2>&1
fits "live hosts and stand-bys are untouched: no file, no time, no process" '[ -s "$tree/before" ] && [ ! -s "$tree/out" ]'
is 0 "the drill is on record" bkd drill list erp --json
says "with what it restored, and what it left out" '"name":"restore-web".*"not_exercised":\[.*start-web'

# ---- the disaster

for name in app web; do (cd "$tree/hosts/$name" && listing srv/$name) >"$tree/$name.before"; done
for name in db app web; do power_off $name; ip netns del "$prefix$name"; rm -rf "$tree/hosts/$name"; done
is_gone() { # a network goes a moment after its name, and refuses until then
    for _ in $(seq 30); do
        gone=0
        office curl -sS --max-time 1 "http://$(address_of "$1")/" >"$tree/out" 2>&1 || gone=$?
        case $gone in 7 | 28) return 0 ;; esac
        sleep 0.2
    done
    return 1
}
fits "all three are gone" 'is_gone web'

begin() { ip netns exec "${prefix}office" "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" plan run erp --scenario site-loss --yes --json >"$tree/run" 2>&1 </dev/null & plan=$!; }
until_begun() { for _ in $(seq 300); do ! cat "$state"/plans/*/journal.jsonl 2>/dev/null | grep '"mode":"run"' -A 1000 | grep -q "\"type\":\"step_begin\".*\"step\":\"$1\"" || return 0; sleep 0.1; done; return 1; }
standby=/proc/$(init_of standby-db)/root
until_keys() { for _ in $(seq 300); do [ ! -e "$(echo "$standby"/dev/shm/bkd-restore.*/ssh-identity)" ] || return 0; sleep 0.05; done; return 1; }
is_clean() { ! ls "$standby"/tmp "$standby"/dev/shm | grep -q bkd && ! pgrep -f '/tmp/[b]kd-restore-[0-9a-f]*/bkd-restore' >/dev/null; }
until_clean() { for _ in $(seq 150); do ! is_clean || return 0; sleep 0.1; done; ls -R "$standby/tmp" "$standby/dev/shm" >"$tree/out"; return 1; }

begin
until_begun declare
slow=
tc -n "${prefix}vault" qdisc add dev eth0 root tbf rate 4mbit burst 64kb latency 400ms 2>"$tree/out" && slow=yes
is 0 "the plan begins with a decision" bkd plan answer erp declare --by 'Ana Lima' --note 'water in the room 机房进水' --choice go
if [ -n "$slow" ]; then
    fits "only bkd-restore and keys go to the stand-by" 'until_keys && [ "$(ls "$standby"/tmp/bkd-restore-*/)" = "bkd-restore
keys" ]'
    fits "keys lie in memory there" '[ -s "$(echo "$standby"/dev/shm/bkd-restore.*/identity)" ] && [ -L "$(echo "$standby"/tmp/bkd-restore-*/keys)" ]'
    kill -KILL $plan
    wait $plan 2>/dev/null
    fits "bkd is killed: nothing stays there, and nothing runs on" until_clean
    begin
    fits "the same command goes on" until_keys
    pkill -KILL -f -- 'ssh .*10[.]78[.]0[.]21.*[b]kd-parcel'
    fits "ssh is killed: nothing stays there, either" until_clean
    status=0
    wait $plan || status=$?
    cp "$tree/run" "$tree/out"
    fits "which is a failed step" '[ $status = 1 ]'
    tc -n "${prefix}vault" qdisc del dev eth0 root
    begin
else
    for title in "only bkd-restore" "keys in memory" "bkd killed" "ssh killed"; do ok "$title # SKIP no slow line: $(head -n 1 "$tree/out")"; done
fi
until_begun hand-over || { cat "$tree/run"; bad "it does not come to its end"; finish; }
is 0 "the web server on its stand-by" page standby-web
fits "shows the same page" 'cmp "$tree/page.web" "$tree/page.standby-web"'
is 0 "the one manual step is confirmed" bkd plan answer erp hand-over --by 王芳 --note '订单都在'
status=0
wait $plan || status=$?
plan=
cp "$tree/run" "$tree/out"
fits "everything is back" '[ $status = 0 ]'
says "within the time that was promised" '"type":"summary".*"passed":true.*"misses_rto":false'
says "from the copy alone" '"step":"restore-database","state":"done".*"from":"sftp://root@10.78.0.9/db"'
says "on the stand-by" '"step":"restore-database".*on host standby-db'
says "with who answered" '"step":"hand-over","state":"done".*"by":".u738[bB].u82[bB]3"'
when() { sed -n "s/.*\"step\":\"$1\".*\"begun_ms\":\([0-9]*\),\"took_ms\":\([0-9]*\).*/\1 \2/p" "$tree/run" | awk -v what="$2" '{print what == "begin" ? $1 : $1 + $2}'; }
fits "one after the other: the database, the application, the web server" \
    '[ "$(when start-database end)" -le "$(when restore-application begin)" ] && [ "$(when start-application end)" -le "$(when restore-web begin)" ]'
for name in app web; do (cd "$tree/hosts/standby-$name" && listing srv/$name) >"$tree/$name.after"; done
fits "files are what they were, with owners, modes and times" 'cmp -s "$tree/app.before" "$tree/app.after" && cmp -s "$tree/web.before" "$tree/web.after"'
fits "the database is what it was" '[ "$(echo "$answer" | sql standby-db)" = "$known" ]'
is 0 "the record of the run" bkd history erp --json
says "says so" '"kind":"plan","policy":"erp".*"exit":0'
fits "no keys on any stand-by" 'until_clean && [ -z "$(ls -A "$tree/hosts/standby-app/tmp")$(ls -A "$tree/hosts/standby-web/tmp")" ]'

# ---- by hand, as it stands in the handbook

is 0 "the handbook of this disaster" bkd plan print erp --scenario site-loss -o "$tree/plan.html"
by_hand=$(/usr/bin/python3 -c 'import re, sys, html
print(next(t for t in map(html.unescape, re.findall("<pre>(.*?)</pre>", open(sys.argv[1], encoding="utf-8").read(), re.S)) if "/web" in t and "bkd-restore" in t))' "$tree/plan.html")
rm -rf "$tree/hosts/standby-web/srv/web"
is 0 "its command for a stand-by" office sh -c "$by_hand"
(cd "$tree/hosts/standby-web" && listing srv/web) >"$tree/web.after"
fits "restores there, and leaves nothing" 'cmp -s "$tree/web.before" "$tree/web.after" && [ -z "$(ls "/proc/$(init_of standby-web)/root/dev/shm")" ]'

# ---- whatever opens the way to the copy here opens it there

policy() { printf '%s\n' "repository: {url: \"$1\", ssh: {$2}}" "verify: {scratch: $tree/scratch, identity: operations.txt}" >"$config/policies/app.yaml"; }
cat >"$config/plans/again.yaml" <<END
hosts: [{name: standby, address: "ssh://root@10.78.0.22", ssh_identity: standby, ssh_known_hosts: standby_hosts}]
systems: [{name: application, policy: app, targets: [{scenario: s, to: directory, host: standby, path: /var/again}]}]
steps: [{id: restore, type: restore, system: application}]
END
again() { # TITLE
    rm -rf "$tree/hosts/standby-app/var/again"
    is 0 "$1" bkd plan run again --scenario s --yes --anew
    fits "which is there" 'cmp -s "$tree/hosts/standby-app/srv/app/data" "$tree/hosts/standby-app/var/again/srv/app/data" && [ -z "$(ls "$tree/hosts/standby-app/tmp")" ]'
}
printf 'Host safe\n  HostName 10.78.0.9\n  User root\n  IdentityFile %s\n' "$config/keys/other" >"$config/keys/ways"
mv "$config/keys/ssh_ed25519" "$config/keys/other"
sed -i 's/^10.78.0.9 /safe /' "$config/keys/known_hosts"
policy "sftp://safe/app" "config: ways"
again "a name and a key of ssh_config"
sed -i 's/^safe /10.78.0.9 /' "$config/keys/known_hosts"
cp "$config/keys/other" "$config/keys/locked"
ssh-keygen -q -p -P '' -N 'open sesame' -f "$config/keys/locked" >"$tree/out" 2>&1
policy "sftp://10.78.0.9/app" "identity: locked, passphrase_command: [echo, open sesame]"
again "a key with a passphrase that a command says"
ssh-keygen -q -t rsa -b 2048 -N '' -f "$config/keys/rsa" # which libssh2 cannot use
may_add "$config/keys/rsa.pub"
policy "sftp://root@10.78.0.9/app" "identity: rsa, transport: ssh"
again "an RSA key, by the ssh that is there"
eval "$(ssh-agent -s)" >/dev/null
agent=$SSH_AGENT_PID
ssh-add -q "$config/keys/other" 2>"$tree/out"
policy "sftp://root@10.78.0.9/app" "identity: agent"
again "the agent's keys"
kill "$agent"
agent=
is 1 "without an agent" env -u SSH_AUTH_SOCK ip netns exec "${prefix}office" "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" plan run again --scenario s --yes --anew
finish
