#!/bin/sh
# Being told, with a real mail server (STARTTLS, login) and a real HTTPS server: what the rules say arrives, once; what could not be delivered is kept, and
# arrives when the server is back; who was told hears that it is well again; the digest; what hostile texts try; secrets stay secret; figures for Prometheus.
. "$(dirname "$0")/lib.sh"
python=
for candidate in /usr/bin/python3 python3; do
    [ -n "$python" ] || ! "$candidate" -c 'import aiosmtpd' 2>/dev/null || python=$candidate
done
for tool in openssl curl sqlite3; do
    command -v $tool >/dev/null || python=
done
if [ -z "$python" ]; then
    echo "1..0 # SKIP without python3 with aiosmtpd, openssl, curl and sqlite3"
    exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
sinks=$tree/sinks
mkdir "$sinks"
pids=
trap '[ -z "$pids" ] || kill $pids 2>/dev/null; [ -z "${sockets:-}" ] || rm -f $sockets; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$sinks/key.pem" -out "$sinks/cert.pem" -days 2 -subj /CN=localhost \
    -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' 2>/dev/null
"$python" "$here/notify-sinks.py" "$sinks" 2>"$tree/sinks.log" &
pids=$!
wait_for() { # FILE
    waited=0
    until [ -s "$1" ] || [ $waited -ge 150 ]; do sleep 0.1; waited=$((waited + 1)); done
    [ -s "$1" ]
}
if ! wait_for "$sinks/ports"; then
    cat "$tree/sinks.log"
    echo "not ok 1 - the servers to talk to start"
    echo "1..1"
    exit 1
fi
. "$sinks/ports"
db() { sqlite3 "$state/catalogue.db" "$1"; }
mails() { find "$sinks" -name 'mail.[0-9]*' | wc -l; }
forget() { rm -f "$sinks"/mail.* "$sinks/hooks"; }
# Headers, decoded as other programs decode them, and what is wrong with the mail.
read_mails() {
    "$python" - "$sinks" <<'PY'
import email, email.policy, glob, sys
for name in sorted(glob.glob(sys.argv[1] + '/mail.[0-9]*'), key=lambda n: int(n.rsplit('.', 1)[1])):
    m = email.message_from_binary_file(open(name, 'rb'), policy=email.policy.default)
    bare = [line for line in open(name, 'rb').read().split(b'\r\n') if b'\n' in line or b'\r' in line or len(line) > 78]
    print('subject=' + str(m['subject']), 'defects=%d' % (len(m.defects) + sum(len(v.defects) for v in m.values())), 'bare=%d' % len(bare),
          'headers=' + ','.join(sorted(k.lower() for k in m.keys())), 'date=%s' % (m['date'].datetime is not None), 'to=' + str(m['to']))
    print(m.get_content())
PY
}
hooked() { # what arrived over HTTPS: path, what, kind, severity
    [ ! -e "$sinks/hooks" ] || "$python" - "$sinks/hooks" <<'PY'
import json, sys
for line in open(sys.argv[1]):
    r = json.loads(line)
    m = json.loads(r['body']) if r['body'].startswith('{') else {}
    late = ' late' if 'late_ms' in m or r['body'].startswith('This message is ') else ''
    print(r['path'].split('?')[0], r['token'], m.get('what'), m.get('kind'), m.get('severity'), ('refused' if r['refused'] else 'taken') + late)
PY
}

# ---- the configuration file
host told none 'hooks: {before: [[sh, -c, "test ! -e /proc/self/root'"$tree"'/broken || { cat '"$tree"'/broken; exit 1; }"]]}'
echo content >"$source/file"
is 0 "without a configuration file the defaults hold" run_bkd config check
says "and it is said so" 'there is none, so the defaults hold'
is 0 "nobody to be told is no error" run_bkd notify status
is 2 "there is nothing to test without channels" run_bkd notify test
printf 'notify:\n  chanels: []\n  routes: [{to: mail}]\n' >"$config/bkd.yaml"
is 2 "mistakes are found" run_bkd config check
says "with their place and what was meant" "bkd.yaml:2:3: error: unknown key 'chanels'; did you mean 'channels'\\?"
says "all of them" "there is no channel 'mail'"

printf 'the-mail-secret\n' >"$config/keys/mail-password"
printf 'wrong\n' >"$config/keys/wrong-password"
printf 'https://localhost:%s/secret-path-1234\n' "$https_port" >"$config/keys/chat-url"
printf '# for the proxy\nX-Token: the-token-secret\n' >"$config/keys/headers"
chmod 600 "$config/keys/mail-password" "$config/keys/wrong-password" "$config/keys/chat-url" "$config/keys/headers"
write_config() { # further lines
    cat >"$config/bkd.yaml" <<YAML
notify:
  channels:
    - {name: mail, type: email, server: "localhost:$smtp_port", ca: $sinks/cert.pem, user: bkd, password: mail-password, from: bkd@example.net, to: [ann@example.net, bob@example.net]}
    - {name: hook, type: webhook, url: "https://localhost:$https_port/hook", ca: $sinks/cert.pem, headers: headers}
    - {name: chat, type: webhook, url_file: chat-url, ca: $sinks/cert.pem}
    - {name: ping, type: webhook, url: "https://localhost:$https_port/ping", ca: $sinks/cert.pem, format: healthchecks}
    - {name: page, type: command, command: [sh, -c, "cat >>$tree/paged; env | grep ^BKD_ | sort >>$tree/paged.env"]}
$1
YAML
}
write_config ""
is 0 "a configuration is right" run_bkd config check
run_bkd config show >"$tree/shown.yaml"
cp "$config/bkd.yaml" "$tree/kept.yaml"
cp "$tree/shown.yaml" "$config/bkd.yaml"
run_bkd config show | sed 's/ *# line.*//; s/ *# default//' >"$tree/again"
cp "$tree/kept.yaml" "$config/bkd.yaml"
if sed 's/ *# line.*//; s/ *# default//' "$tree/shown.yaml" | diff - "$tree/again" >"$tree/out"; then ok "what is shown is such a file itself"; else bad "what is shown is such a file itself"; fi
chmod 666 "$config/bkd.yaml"
is 2 "a file that others can write is refused" run_bkd config check
says "with the remedy" 'chmod go-w'
chmod 644 "$config/bkd.yaml"

# ---- test messages
is 0 "bkd notify test sends over every channel" run_bkd notify test --json
says "and says so of each" '"channel":"page","ok":true'
if [ "$(mails)" = 1 ] && [ "$(hooked | grep -c taken)" = 3 ] && grep -q '^BKD_WHAT=test' "$tree/paged.env"; then ok "all of them arrived"; else hooked >"$tree/out"; bad "all of them arrived"; fi
hooked >"$tree/out"
says "headers are sent along" '^/hook the-token-secret test'
read_mails >"$tree/out"
says "the mail is right by another program's judgement" 'TEST: .*defects=0 bare=0 .*date=True to=ann@example.net, bob@example.net'
cp "$config/bkd.yaml" "$tree/kept.yaml"
write_config "    - {name: nopass, type: email, server: \"localhost:$smtp_port\", ca: $sinks/cert.pem, user: bkd, password: wrong-password, to: ann@example.net}
    - {name: noca, type: email, server: \"localhost:$smtp_port\", to: ann@example.net}
    - {name: notls, type: email, server: \"localhost:$plain_port\", to: ann@example.net}
    - {name: plain, type: email, server: \"localhost:$plain_port\", tls: none, to: [ann@example.net, nobody@example.net]}
    - {name: silent, type: webhook, url: \"https://localhost:$silent_port/\", timeout: 1s}
    - {name: moved, type: webhook, url: \"https://localhost:$https_port/moved\", ca: $sinks/cert.pem}
    - {name: fails, type: command, command: [sh, -c, \"echo because; exit 3\"]}
    - {name: slow, type: command, command: [sleep, \"60\"], timeout: 1s}"
forget
is 9 "a wrong password is a key that is wrong" run_bkd notify test nopass
says "it is not shown" 'nopass: FAILED .*password'
says_not "really" 'wrong$'
is 9 "a certificate of nobody's is refused" run_bkd notify test noca
is 9 "a mail server without TLS is told nothing" run_bkd notify test notls
if [ "$(mails)" = 0 ]; then ok "none of these sent a mail"; else bad "none of these sent a mail"; fi
is 0 "tls: none is for a server on this host" run_bkd notify test plain
says "one address that is refused does not keep the others from being told" '1 of 2 recipients were refused'
is 8 "a server that does not answer is given up in time" run_bkd notify test silent
is 0 "a redirection is followed as a POST" run_bkd notify test moved
is 1 "a command that fails has failed" run_bkd notify test fails
says "with what it said" 'sh exited with status 3: because'
is 1 "a command that hangs is ended" run_bkd notify test slow
is 2 "there is no such channel" run_bkd notify test nosuch
chmod 644 "$config/keys/mail-password"
is 9 "a password that others can read is refused" run_bkd notify test mail
chmod 600 "$config/keys/mail-password"
rm -f "$tree/paged" "$tree/paged.env"

# ---- a failure, and its end
routes='  routes:
    - {to: [mail, hook, chat, page], severity: warning}
    - {to: ping, severity: info}'
write_config "$routes"
forget
run_bkd init p >"$tree/out" 2>&1
printf 'no: f\303\274r\r\nBcc: evil@example.net\r\n.\r\nQUIT\r\n\r\n\033[31mred\n' >"$tree/broken"
is 1 "a backup whose hook fails fails" backup
read_mails >"$tree/out"
if [ "$(grep -c '^subject=.*the last backup failed' "$tree/out")" = 1 ]; then ok "a mail says so, once"; else bad "a mail says so, once"; fi
says "hostile bytes in it do no harm" 'subject=.*the last backup failed.*defects=0 bare=0'
says_not "and make no header" 'headers=[^ ]*bcc'
hooked >"$tree/out"
says "a webhook says so" '^/hook the-token-secret opened run-failed warning taken'
says "the secret address got it" '^/secret-path-1234 None opened run-failed warning'
says "the run pinged its begin" '^/ping/start '
says "and its failure" '^/ping/fail '
if grep -q '^BKD_KIND=run-failed' "$tree/paged.env" && grep -q '"what":"opened"' "$tree/paged"; then ok "a command was told by environment and input"; else bad "a command was told by environment and input"; fi
before=$(mails)
is 1 "it fails again" backup
if [ "$(mails)" = "$before" ]; then ok "nobody is told twice"; else bad "nobody is told twice"; fi
is 0 "the alarm is listed" run_bkd alarm list p --json
alarm=$(sed -n 's/.*"id":\([0-9]*\),"kind":"run-failed".*/\1/p' "$tree/out")
is 0 "somebody says that they know" run_bkd alarm ack "$alarm"
is 0 "which is seen" run_bkd alarm list
says "by name" 'last backup failed.*known to '
is 2 "there is no alarm of that number" run_bkd alarm ack 99999
is 2 "a word is no number" run_bkd alarm ack p
rm "$tree/broken"
forget
is 0 "it goes well" backup
read_mails >"$tree/out"
says "who was told hears that it is well again" '^subject=.*WELL AGAIN p: no longer: the last backup failed'
hooked >"$tree/out"
says "over each channel" '^/hook the-token-secret over run-failed warning taken'
says "the run pinged that it went well" '^/ping None'
is 0 "nothing stands any more" run_bkd alarm list
says "of that" 'no alarm|identities'

# The ping of a run's begin does not wait for its end: this run goes on only when it has arrived.
cat >"$config/policies/q.yaml" <<YAML
sources: [$source]
repository: $repo
encryption: none
hooks: {before: [[sh, -c, "i=0; until grep -q /ping/start $sinks/hooks; do sleep 0.1; i=\$((i + 1)); [ \$i -lt 200 ] || exit 1; done"]]}
YAML
forget
is 0 "a run's begin is pinged at its begin" run_bkd backup q
rm "$config/policies/q.yaml"

# ---- a server that is away
forget
db "UPDATE tellings SET told_ns = told_ns - 86400000000000" # what comes back at once would be told later, as flapping
touch "$sinks/down" "$tree/broken"
is 1 "a backup fails while nobody can be reached" backup
rm "$tree/broken"
is 3 "what could not be delivered is kept" run_bkd notify status
says "and shown with its reason" 'FAILING.*(503|550)'
is 0 "a backup is not harmed by it" backup
rm "$sinks/down"
forget
is 0 "nothing is tried again before its time" run_bkd notify send
if [ "$(hooked | grep -c ' opened ')" = 0 ]; then ok "so nothing came yet"; else bad "so nothing came yet"; fi
db "UPDATE deliveries SET next_try_ns = 0, created_ns = created_ns - 7200000000000 WHERE state = 'waiting'"
is 0 "two hours later" run_bkd notify send
hooked >"$tree/out"
says "it arrives, and says that it is late" '^/hook the-token-secret opened run-failed warning taken late'
says "and what came after it" '^/hook the-token-secret over run-failed warning taken'
if hooked | grep -q '^/ping.* late'; then hooked >"$tree/out"; bad "pings of long ago are not sent"; else ok "pings of long ago are not sent"; fi
read_mails >"$tree/out"
says "the mail, too" '^This message is 2 h [0-9]* min late'
is 0 "all is delivered" run_bkd notify status
says_not "nothing fails" 'FAILING'

# A server that never answers costs a backup nothing but the time it may take to tell.
write_config "    - {name: silent, type: webhook, url: \"https://localhost:$silent_port/\", timeout: 2s}
  routes: [{to: silent, severity: info}]"
began=$(date +%s)
is 0 "a backup ends well although a server never answers" backup
took=$(($(date +%s) - began))
if [ $took -le 20 ]; then ok "and in time"; else echo "# $took s" >"$tree/out"; bad "and in time"; fi

# ---- the digest
write_config "  digest: {to: mail, at: \"00:00\"}"
forget
is 0 "the first digest comes tomorrow" run_bkd notify send
if [ "$(mails)" = 0 ]; then ok "not today"; else bad "not today"; fi
db "UPDATE marks SET value = value - 86400 WHERE name = 'notify.digest'"
is 0 "tomorrow" run_bkd notify send
is 0 "and again" run_bkd notify send
read_mails >"$tree/out"
if [ "$(grep -c '^subject=.*digest: ' "$tree/out")" = 1 ]; then ok "it comes, once"; else bad "it comes, once"; fi
says "with a line for each policy" '^  p  *(PROTECTED|AT RISK|NOT PROTECTED)  *last good backup .* ago; .*good'
mv "$repo/heads" "$tree/heads" # as of a repository that somebody set back
mkdir "$repo/heads"
is 4 "the next backup sees it" backup
is 0 "bkd watch does not look there" run_bkd watch
db "UPDATE marks SET value = value - 86400 WHERE name = 'notify.digest'"
is 0 "another day" run_bkd notify send
read_mails >"$tree/out"
says "its subject has the worst" '^subject=.*digest: 1 of 1 policies NOT PROTECTED, '
says "and its line" '^  p  *NOT PROTECTED  *last good'
state_told=$(sed -n 's/^  p  *\([A-Z ]*[A-Z]\)  *last good .*/\1/p' "$tree/out" | tail -n 1)
run_bkd status p >"$tree/out" 2>&1
says "in the words of bkd status" "^p: $state_told( |\$)"
rm -rf "$repo/heads" && mv "$tree/heads" "$repo/heads"
is 0 "put back" backup
db "UPDATE marks SET value = value - 86400 WHERE name = 'notify.digest'; DELETE FROM runs"
is 0 "on a day when nothing ran" run_bkd notify send
read_mails >"$tree/out"
says "it says so" 'Nothing happened in this time'

# ---- a configuration that is broken meanwhile
printf 'notify: {chanels: []}\n' >"$config/bkd.yaml"
is 0 "a backup does not care" backup
is 0 "it is an alarm" run_bkd alarm list
says "that tells what to do" 'critical nobody is told of anything: .*chanels'
write_config "  routes: [{to: hook}]"
forget
is 0 "corrected" backup
is 0 "it is over" run_bkd alarm list
says_not "no more" 'nobody is told'

# ---- the system's log
if [ "$(id -u)" = 0 ] && [ ! -e /dev/log ] && [ ! -e /run/systemd/journal/socket ]; then
    write_config "    - {name: log, type: syslog}
  routes: [{to: log, severity: info}]"
    is 8 "no log to write to is said" run_bkd notify test log
    sockets=/dev/log
    "$python" "$here/notify-sinks.py" "$sinks" datagrams /dev/log &
    pids="$pids $!"
    until [ -S /dev/log ]; do sleep 0.1; done
    is 0 "syslog is written to" run_bkd notify test log
    sleep 0.2
    cp "$sinks/datagrams" "$tree/out"
    says "with facility daemon and level info" '^<30>.*bkd\[[0-9]*\]: \[bkd .*TEST'
    [ -d /run/systemd/journal ] || journal_dir=/run/systemd/journal
    mkdir -p /run/systemd/journal
    sockets="/dev/log /run/systemd/journal/socket"
    "$python" "$here/notify-sinks.py" "$sinks" datagrams /run/systemd/journal/socket &
    pids="$pids $!"
    until [ -S /run/systemd/journal/socket ]; do sleep 0.1; done
    is 0 "the journal is written to" run_bkd notify test log
    sleep 0.2
    cp "$sinks/datagrams" "$tree/out"
    says "with fields" '^BKD_SEVERITY=info'
    rm -f $sockets
    [ -z "${journal_dir:-}" ] || rmdir "$journal_dir"
else
    ok "the system's log # SKIP it is another's here"
fi

# ---- secrets
cat "$tree"/told/state/* "$sinks/hooks" "$tree/paged" 2>/dev/null >"$tree/all"
db .dump >>"$tree/all"
if grep -aqE 'the-mail-secret|the-token-secret|secret-path' "$tree/all"; then
    grep -aoE '.{60}(the-mail-secret|the-token-secret|secret-path)' "$tree/all" | grep -v '"token"\|"path"' >"$tree/out"
    if [ -s "$tree/out" ]; then bad "no secret is in the catalogue or a message"; else ok "no secret is in the catalogue or a message"; fi
else
    ok "no secret is in the catalogue or a message"
fi

# ---- figures
write_config "metrics: {textfile: $tree/bkd.prom}"
is 0 "a backup writes the metrics' file" backup
if [ -s "$tree/bkd.prom" ] && [ "$(stat -c %a "$tree/bkd.prom")" = 644 ]; then ok "for all to read"; else bad "for all to read"; fi
cp "$tree/bkd.prom" "$tree/out"
says "with the last success" '^bkd_last_success_timestamp_seconds\{policy="p",kind="backup"\} [0-9.]+$'
says "and the age of each copy" '^bkd_snapshot_age_seconds\{policy="p",copy="[^"]*/repository",disk="",role="repository"\} [0-9.]+$'
# Each family once, with its help and type before its samples; samples as the format has them.
if "$python" - "$tree/bkd.prom" >"$tree/out" 2>&1 <<'PY'
import re, sys
text = open(sys.argv[1]).read()
assert text.endswith('\n')
seen, family, kind = set(), None, None
for line in text[:-1].split('\n'):
    help_ = re.fullmatch(r'# HELP (bkd_[a-z_]+) .+', line)
    type_ = re.fullmatch(r'# TYPE (bkd_[a-z_]+) (gauge|counter)', line)
    if help_:
        assert help_[1] not in seen, line
        seen.add(help_[1])
        family, kind = help_[1], None
    elif type_:
        assert type_[1] == family and kind is None, line
        kind = type_[2]
        assert (kind == 'counter') == family.endswith('_total'), line
    else:
        assert kind and re.fullmatch(re.escape(family) + r'(\{[a-z]+="(?:[^"\\\n]|\\["\\n])*"(,[a-z]+="(?:[^"\\\n]|\\["\\n])*")*\})? [0-9]+(\.[0-9]+)?', line), line
assert len(seen) > 10
PY
then ok "in the format that Prometheus reads"; else bad "in the format that Prometheus reads"; fi
if command -v promtool >/dev/null; then
    if promtool check metrics <"$tree/bkd.prom" >"$tree/out" 2>&1; then ok "promtool agrees"; else bad "promtool agrees"; fi
else
    ok "promtool agrees # SKIP it is not installed"
fi
"$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" metrics --listen 127.0.0.1:0 --json >"$tree/listening" 2>&1 &
server=$!
pids="$pids $server"
wait_for "$tree/listening"
port=$(sed -n 's/.*"port":\([0-9]*\).*/\1/p' "$tree/listening")
is 0 "they are served by HTTP" curl -sf "http://127.0.0.1:$port/metrics"
says "the same" '^bkd_build_info\{version='
is 22 "and nothing else is" curl -sf "http://127.0.0.1:$port/"
kill $server
wait $server 2>/dev/null

# The daemon serves them, too, where the configuration says so now.
write_config "metrics: {listen: \"127.0.0.1:$silent_port\"}"
"$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" daemon >"$tree/daemon.log" 2>&1 &
daemon=$!
pids="$pids $daemon"
waited=0
until grep -q 'metrics are not served' "$tree/daemon.log" || [ $waited -ge 150 ]; do sleep 0.1; waited=$((waited + 1)); done
cp "$tree/daemon.log" "$tree/out"
says "a port that is another's is a warning of the daemon" 'metrics are not served: .*in use'
write_config "metrics: {listen: \"127.0.0.1:$port\"}"
kill -HUP $daemon
waited=0
until curl -sf "http://127.0.0.1:$port/metrics" >"$tree/out" || [ $waited -ge 150 ]; do sleep 0.1; waited=$((waited + 1)); done
says "read anew, it serves them" '^bkd_policy_valid\{policy="p"\} 1$'
kill $daemon
wait $daemon 2>/dev/null
finish
