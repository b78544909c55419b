#!/bin/sh
# Lines and servers that fail: cut at many places, dead without a word, killed, full, with room for one session; slow by order; reached by the names of
# ssh_config, through another host; keys from the agent, from commands and credentials. After each: what was stored before restores from the far side
# alone, and the next run completes. Prints TAP. BKD_SEED=N repeats another sequence, BKD_KILLS=N changes the number of kills, BKD_SLOW=1 adds what takes minutes:
# a line of satellites that loses a third of its packets, a dead line with the usual patience, a ship that is cut after every 64 KiB.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd.sh"
sshd_available || { echo "1..0 # skip $sshd_missing"; exit 77; }
slow_line=$BKD_BIN/../tests/support/slow_line
[ -x "$slow_line" ] || { echo "1..0 # skip tests/support/slow_line is not built"; exit 77; }

cp /usr/lib/openssh/sftp-server "$tree/sftp-server"
sshd_start vault "Subsystem sftp $tree/sftp-server" "MaxStartups 100" "AllowTcpForwarding yes"
line_pid=
line_port=$((sshd_port + 1))
# line OPTION…: a line with these properties to the server, in the place of the one before.
line() {
    [ -z "$line_pid" ] || { kill "$line_pid"; wait "$line_pid"; } 2>/dev/null
    "$slow_line" "$line_port" "$sshd_port" "$@" >"$tree/line" 2>&1 &
    line_pid=$!
    n=0
    while [ $n -lt 50 ] && ! grep -qi ":$(printf '%04X' "$line_port") 00000000:0000 0A" /proc/net/tcp; do sleep 0.05; n=$((n + 1)); done
}
trap '[ -z "$line_pid" ] || kill "$line_pid" 2>/dev/null; sshd_stop; umount "$tree/full" 2>/dev/null; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT

far="sftp://$sshd_user@127.0.0.1:$line_port$sshd_dir/repo"
direct="sftp://$sshd_user@127.0.0.1:$sshd_port$sshd_dir/repo"
host source "{recipients: recipients.txt}"
sshd_keys "$config/keys"
sed -i "s|^repository: .*|repository: {url: '$far', ssh: {timeout: 3s}}|" "$config/policies/p.yaml"
from() { where=$1; shift; "$BKD_BIN/bkd-restore" -r "$where" -i "$config/keys/operations.txt" -s "$config/keys/allowed_signers" \
    --ssh-identity "$config/keys/ssh_ed25519" --known-hosts "$config/keys/known_hosts" "$@"; }
same_from() { # PLACE SNAPSHOT
    rm -rf "$tree/restored"
    from "$1" restore "$2" --target "$tree/restored" -q && diff -r "$source" "$tree/restored$source"
}
change() { head -c "$1" /dev/urandom >"$source/new"; }
no_parts() { ! find "$sshd_dir/repo" -name '*.part-*' | grep -q .; }

seq 1 20000 >"$source/table"
change 700000
line
is 0 "pinned" run_bkd trust-host "$far" --yes
is 0 "and without the line" run_bkd trust-host "$direct" --yes
is 0 "init" run_bkd init p
is 0 "first backup" backup

# ---- the way there and back, counted: what one small file out of many snapshots costs does not grow with them
for n in 1 2 3 4 5 6 7 8; do change $((n * 1000)); run_bkd backup p -q >/dev/null 2>&1 || bad "backup $n"; done
line delay=10
is 0 "one file over a slow line" from "$far" dump latest "$source/new"
sleep 0.2
turns=$(sed -n 's/.* turns //p' "$tree/line" | tail -n 1)
bytes=$(sed -n 's/.* down \([0-9]*\) .*/\1/p' "$tree/line" | tail -n 1)
[ "${turns:-999}" -le 34 ] && ok "for at most 34 round trips, from TCP on" || bad "for $turns round trips"
[ "${bytes:-9999999}" -le 1000000 ] && ok "and a megabyte" || bad "and $bytes bytes"

# ---- cut once, at many places of a run
cuts=0
for at in 1000 2500 4000 5500 7000 9000 12000 30000 131072 262144 524288 700000 720000; do
    change 700000
    line "cut=$at" cuts=1
    backup >"$tree/out" 2>&1 || { bad "a backup over a line that is cut after $at bytes"; continue; }
    same_from "$direct" latest >"$tree/out" 2>&1 || bad "what it stored, cut after $at bytes"
    cuts=$((cuts + 1))
done
[ $cuts = 13 ] && ok "backups over lines cut at 13 places end well, and restore" || bad "backups over lines cut at 13 places"
for at in 4000 9000 60000 400000; do
    line "cut=$at" cuts=1
    same_from "$far" latest >"$tree/out" 2>&1 || bad "a restore over a line that is cut after $at bytes"
done
ok "restores over lines cut at 4 places"
line cut=9000
is 8 "a line that always breaks is given up" backup
line
is 0 "the next run completes" backup
is 0 "and restores" same_from "$direct" latest

# ---- dead without a word
line rate=2000000
change 5000000
started=$(date +%s)
backup >"$tree/out" 2>&1 &
pid=$!
sleep 1.5
kill -USR1 "$line_pid"
wait $pid
rc=$?
took=$(($(date +%s) - started))
[ $rc = 0 ] && [ $took -lt 60 ] && ok "a line that goes dead is noticed, and the run completes" || bad "a line that goes dead (exit $rc, $took s)"
is 0 "and restores" same_from "$direct" latest

# ---- a copy whose line is cut while it is shipped
kept_source=$source kept_config=$config kept_state=$state
host shipper "{recipients: recipients.txt}" "offsite:" "  - {url: 'sftp://$sshd_user@127.0.0.1:$line_port$sshd_dir/copy', ssh: {timeout: 3s}}"
sshd_keys "$config/keys"
cp "$kept_config/keys/known_hosts" "$config/keys/known_hosts"
is 0 "a repository here" run_bkd init p
cut_ship() { # AT: changes, backs up, ships over a line that is cut there once
    change 900000
    line
    run_bkd backup p -q --no-ship >"$tree/out" 2>&1 || return 1
    line "cut=$1" cuts=1
    run_bkd ship p -q >"$tree/out" 2>&1 || return 1
    same_from "sftp://$sshd_user@127.0.0.1:$sshd_port$sshd_dir/copy" latest >"$tree/out" 2>&1
}
places="3000 70000 500000 900000"
[ -z "${BKD_SLOW:-}" ] || places=$(seq 65536 65536 1114112)
ships=0 good=0
for at in $places; do
    ships=$((ships + 1))
    if cut_ship "$at"; then good=$((good + 1)); else bad "a ship that is cut after $at bytes"; fi
done
[ $good = $ships ] && ok "$ships ships over lines cut once end well, and restore from there alone" || bad "$((ships - good)) of $ships ships over cut lines failed"
[ -z "$(find "$sshd_dir/copy" -name '*.part-*')" ] && ok "no part is left there" || bad "parts are left there"

if [ -n "${BKD_SLOW:-}" ]; then
    change 60000
    line delay=250 rate=8000 loss=30
    sed -i 's/, ssh: {timeout: 3s}}/}/' "$config/policies/p.yaml"
    run_bkd backup p -q --no-ship --json >"$tree/out" 2>&1
    is 0 "500 ms, 64 kbit/s, a third of the packets lost: ships" run_bkd ship p
    line
    is 0 "and restores" same_from "sftp://$sshd_user@127.0.0.1:$sshd_port$sshd_dir/copy" latest
    change 3000000
    run_bkd backup p -q --no-ship >"$tree/out" 2>&1
    line hole=1000000
    since=$(date +%s)
    is 8 "a dead line with the usual patience" run_bkd ship p
    [ $(($(date +%s) - since)) -lt 330 ] && ok "is given up within 5 tries of a minute" || bad "took $(($(date +%s) - since)) s"
fi
source=$kept_source config=$kept_config state=$kept_state

# ---- the server's program killed at any moment
line
kills=${BKD_KILLS:-10}
bad_kills=0
for k in $(seq 1 "$kills"); do
    change 3000000
    backup >"$tree/out" 2>&1 &
    pid=$!
    draw 900
    sleep "0.$(printf '%03d' "$drawn")"
    victims=$(pgrep -f "^$tree/sftp-server") && kill -9 $victims 2>/dev/null
    wait $pid || { bad_kills=$((bad_kills + 1)); cp "$tree/out" "$tree/killed"; }
done
[ $bad_kills = 0 ] || cp "$tree/killed" "$tree/out"
[ $bad_kills = 0 ] && ok "$kills runs whose server was killed at random completed" || bad "$bad_kills of $kills runs whose server was killed failed"
is 0 "what the last one stored is whole" same_from "$direct" latest
is 0 "so is everything" run_bkd check p --read-data -i "$config/keys/operations.txt"

# ---- a far disk that is full
if [ "$(id -u)" = 0 ] && mkdir "$tree/full" && mount -t tmpfs -o size=6m none "$tree/full" 2>/dev/null; then
    full="sftp://$sshd_user@127.0.0.1:$sshd_port$tree/full/repo"
    cp "$config/policies/p.yaml" "$tree/kept.yaml"
    sed -i "s|^repository: .*|repository: {url: '$full'}|" "$config/policies/p.yaml"
    mv "$state" "$state.kept"
    change 2000000
    is 0 "a small disk" run_bkd init p
    is 0 "first backup" backup
    cp -a "$source" "$tree/first"
    change 9000000
    is 7 "a full one is told as such" backup
    says "with what is needed and what is there" "are needed, .* are free"
    rm -rf "$tree/restored"
    is 0 "what was stored before restores while it is full" from "$full" restore 1 --target "$tree/restored" -q
    is 0 "the same" diff -r "$tree/first" "$tree/restored$source"
    mount -o remount,size=60m "$tree/full"
    is 0 "with room again the next run completes" backup
    is 0 "and restores" same_from "$full" latest
    mv "$tree/kept.yaml" "$config/policies/p.yaml"
    rm -rf "$state"
    mv "$state.kept" "$state"
    umount "$tree/full"
else
    echo "# skip: a small disk needs root and tmpfs"
fi

# ---- slower by order
change 3000000
cp "$config/policies/p.yaml" "$tree/kept.yaml"
printf 'offsite:\n  - url: %s-copy\n    bandwidth: "00:00 20MiB/s, 12:00 20MiB/s"\n' "$direct" >>"$config/policies/p.yaml"
is 0 "a copy at a rate" backup
change 3000000
is 0 "kept back" backup --no-ship
started=$(date +%s%N)
is 0 "shipped at 1 MiB a second" run_bkd ship p --bandwidth 1MiB/s
took=$((($(date +%s%N) - started) / 1000000))
[ $took -ge 2500 ] && ok "takes its time" || bad "3 MB at 1 MiB/s took $took ms"
is 2 "a rate that is none" run_bkd ship p --bandwidth fast
says "shows the form" "2MiB/s"
sed -i 's|20MiB/s, 12:00|20MiB/s, 00:00|' "$config/policies/p.yaml"
is 2 "a table whose times do not ascend" run_bkd policy check
says "says so" "must ascend"
cp "$tree/kept.yaml" "$config/policies/p.yaml"

# ---- names and ways of ssh_config
cp "$tree/user_key" "$tree/jump_key"
printf '[127.0.0.1]:%s %s\n' "$sshd_port" "$(cut -d' ' -f1,2 "$sshd_dir/host.pub")" >"$tree/jump_hosts"
cat >"$config/keys/ssh_config" <<END
Host vault
    HostName 127.0.0.1
    Port $sshd_port
    User $sshd_user
    IdentityFile $tree/jump_key
Host behind
    HostName 127.0.0.1
    Port $sshd_port
    User $sshd_user
    ProxyJump gate
Host gate
    HostName 127.0.0.1
    Port $sshd_port
    User $sshd_user
    IdentityFile $tree/jump_key
    UserKnownHostsFile $tree/jump_hosts
END
by_name() { name=$1; shift; "$BKD_BIN/bkd-restore" -r "sftp://$name$sshd_dir/repo" -i "$config/keys/operations.txt" -s "$config/keys/allowed_signers" \
    --known-hosts "$config/keys/known_hosts" --ssh-config "$config/keys/ssh_config" "$@"; }
is 9 "the pin is by the name: this one is not pinned" by_name vault list
is 0 "it is pinned" run_bkd trust-host "sftp://vault$sshd_dir/repo" --ssh-config "$config/keys/ssh_config" --yes
says "as the name" "^vault: SHA256"
is 0 "HostName, Port, User and IdentityFile" by_name vault list
is 0 "pinned through another host" run_bkd trust-host "sftp://behind$sshd_dir/repo" --ssh-config "$config/keys/ssh_config" --yes
is 0 "ProxyJump" by_name behind --ssh-identity "$config/keys/ssh_ed25519" list
sed -i "s|ProxyJump gate|ProxyCommand ssh -o BatchMode=yes -F $config/keys/ssh_config -W %h:%p gate|" "$config/keys/ssh_config"
is 0 "ProxyCommand" by_name behind --ssh-identity "$config/keys/ssh_ed25519" list
: >"$tree/jump_hosts"
is 8 "a host in between that ssh does not know" by_name behind --ssh-identity "$config/keys/ssh_ed25519" list
sed -i "s|^repository: .*|repository: {url: 'sftp://vault$sshd_dir/repo', ssh: {config: ssh_config}}|" "$config/policies/p.yaml"
is 0 "in a policy" backup

# ---- where keys and passphrases come from
sed -i "s|^repository: .*|repository: {url: '$direct', ssh: {identity: agent}}|" "$config/policies/p.yaml"
is 9 "no agent" env -u SSH_AUTH_SOCK "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p
eval "$(ssh-agent -s)" >/dev/null
is 9 "an agent without keys" run_bkd backup p
ssh-add -q "$tree/user_key"
is 0 "the agent's key" run_bkd backup p
kill "$SSH_AGENT_PID"
unset SSH_AUTH_SOCK SSH_AGENT_PID
ssh-keygen -q -p -N 'a word' -f "$config/keys/ssh_ed25519" >"$tree/out" 2>&1
sed -i "s|^repository: .*|repository: {url: '$direct', ssh: {passphrase_command: [echo, a word]}}|" "$config/policies/p.yaml"
chmod 755 "$tree" "$tree/source"
is 0 "a passphrase from a command" run_bkd snapshots p
sed -i "s|^repository: .*|repository: {url: '$direct', ssh: {passphrase_command: [sh, -c, 'echo locked >\&2; exit 3']}}|" "$config/policies/p.yaml"
is 9 "a command that fails" run_bkd snapshots p
says "with what it said" "status 3: locked"
sed -i "s|^repository: .*|repository: {url: '$direct', ssh: {passphrase: 'credential:word'}}|" "$config/policies/p.yaml"
is 9 "a credential outside of a unit" run_bkd snapshots p
says "says what the unit needs" "LoadCredential=word:"
mkdir "$tree/credentials"
echo 'a word' >"$tree/credentials/word"
chmod 600 "$tree/credentials/word"
is 0 "within one" env CREDENTIALS_DIRECTORY="$tree/credentials" "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" snapshots p
sshd_stop
kill "$line_pid"

# ---- one session, one connection that is not logged in yet
cp "$tree/user_key" "$config/keys/ssh_ed25519"
sshd_start narrow "Subsystem sftp internal-sftp" "MaxSessions 1" "MaxStartups 1"
narrow="sftp://$sshd_user@127.0.0.1:$sshd_port$sshd_dir/repo"
sed -i "s|^repository: .*|repository: {url: '$narrow'}|" "$config/policies/p.yaml"
rm -rf "$state" "$config/keys/known_hosts"
change 20000000
is 0 "pinned" run_bkd trust-host p --yes
is 0 "init on a narrow server" run_bkd init p
is 0 "backup" backup
is 0 "restore" same_from "$narrow" latest
no_parts && ok "no part is left" || bad "parts are left"
finish
