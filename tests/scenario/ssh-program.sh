#!/bin/sh
# `transport: ssh`: repository and copy through the system's ssh: backup, ship, restore with --transport, a jump of ssh_config, an RSA key (which libssh2 cannot
# use); what is refused: a host that is not pinned, another key, a key the account does not know, a passphrase; a run that is killed leaves no ssh. Prints TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd.sh"
sshd_available || { echo "1..0 # skip $sshd_missing"; exit 77; }
[ -x /usr/bin/ssh ] || { echo "1..0 # skip openssh-client is not installed"; exit 77; }
sshd_start main "Subsystem sftp internal-sftp"
far="sftp://$sshd_user@127.0.0.1:$sshd_port$sshd_dir"
host a "{recipients: recipients.txt}" "offsite:" "  - {url: '$far/copy', ssh: {transport: ssh}}"
sshd_keys "$config/keys"
seq 1 50000 >"$source/table"
mkdir "$source/small"
for i in 1 2 3 4 5 6 7 8 9; do echo "file $i" >"$source/small/$i"; done
from() { where=$1; shift; "$BKD_BIN/bkd-restore" -r "$where" -i "$config/keys/operations.txt" -s "$config/keys/allowed_signers" --ssh-identity "$config/keys/ssh_ed25519" \
    --known-hosts "$config/keys/known_hosts" "$@"; }
same_from() { rm -rf "$tree/restored"; from "$@" restore latest --target "$tree/restored" -q && diff -r "$source" "$tree/restored$source"; }

is 0 "a repository here" run_bkd init p
is 0 "a run whose copy's host is not pinned" run_bkd backup p
says "says so, and how to pin it" "is not known: .*bkd trust-host $far/copy"
is 0 "pinned" run_bkd trust-host "$far/copy" --yes
is 0 "shipped by ssh" run_bkd ship p
is 0 "restored by ssh" same_from "$far/copy" --transport ssh
is 0 "and by libssh2" same_from "$far/copy" --transport builtin
is 2 "a transport that is none" from "$far/copy" --transport rsh list
is 0 "checked by ssh" run_bkd check p --from "$far/copy"

sed -i "/^offsite/,\$d; s|^repository: .*|repository: {url: '$far/repo', ssh: {transport: ssh}}|" "$config/policies/p.yaml"
is 0 "a repository there" run_bkd init p
is 0 "a backup straight to it" run_bkd backup p
head -c 3000000 /dev/urandom >"$source/large"
is 0 "the next one" run_bkd backup p
is 0 "restored" same_from "$far/repo" --transport ssh

# ---- what is refused
cp "$config/keys/known_hosts" "$tree/known"
ssh-keygen -q -t ed25519 -N '' -f "$tree/other"
sed -i "s|ssh-ed25519 .*|$(cut -d' ' -f1,2 "$tree/other.pub")|" "$config/keys/known_hosts"
is 4 "another host key is an alarm" run_bkd backup p
says "which says what may be the reason" "shows another key than the one pinned"
cp "$tree/known" "$config/keys/known_hosts"
cp "$tree/other" "$config/keys/ssh_ed25519"
is 9 "a key that the account does not know" run_bkd backup p
says "is named" "does not accept the key '$config/keys/ssh_ed25519'"
echo secret >"$config/keys/phrase"
chmod 600 "$config/keys/phrase"
sed -i "s|transport: ssh}|transport: ssh, passphrase: phrase}|" "$config/policies/p.yaml"
is 2 "a passphrase is the agent's business" run_bkd backup p
says "and that is said" "identity: agent"
sed -i "s|, passphrase: phrase}|}|" "$config/policies/p.yaml"

# ---- what libssh2 cannot: an RSA key, found by ssh_config, and a jump
ssh-keygen -q -t rsa -b 2048 -N '' -f "$tree/rsa"
cat "$tree/rsa.pub" >>"$sshd_dir/authorized"
cp "$tree/rsa" "$config/keys/ssh_ed25519"
is 0 "an RSA key" run_bkd backup p
is 0 "with which a drill cuts the line, too" run_bkd drill negative p --json
says "which is noticed" '"name":"a line that is cut at 60 %",[^}]*"result":"passed"'
says "and so is a wrong host key" '"name":"a wrong host key",[^}]*"result":"passed"'
sshd_keys "$config/keys"
printf '[127.0.0.1]:%s %s\n' "$sshd_port" "$(cut -d' ' -f1,2 "$sshd_dir/host.pub")" >"$tree/jump_known"
cat >"$config/keys/ssh_config" <<END
Host gate
  HostName 127.0.0.1
  Port $sshd_port
  User $sshd_user
  IdentityFile $tree/user_key
  UserKnownHostsFile $tree/jump_known
Host 127.0.0.1
  ProxyJump gate
END
sed -i "s|transport: ssh}|transport: ssh, config: ssh_config}|" "$config/policies/p.yaml"
is 0 "through another host" run_bkd backup p
sed -i "s|, config: ssh_config}|}|" "$config/policies/p.yaml"

# ---- killed: its ssh ends since its input does
head -c 60000000 /dev/urandom >"$source/huge"
"$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p >/dev/null 2>&1 &
victim=$!
n=0
while [ $n -lt 100 ] && ! pgrep -f "^/usr/bin/ssh .*$config/keys/known_hosts" >/dev/null; do sleep 0.05; n=$((n + 1)); done
kill -9 "$victim"
wait "$victim" 2>/dev/null
n=0
while [ $n -lt 100 ] && pgrep -f "^/usr/bin/ssh .*$config/keys/known_hosts" >/dev/null; do sleep 0.1; n=$((n + 1)); done
is 1 "a run that is killed leaves no ssh" pgrep -fa "^/usr/bin/ssh .*$config/keys/known_hosts"
is 0 "the next run goes on" run_bkd backup p
is 0 "and is whole" same_from "$far/repo" --transport ssh
finish
