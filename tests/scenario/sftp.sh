#!/bin/sh
# A repository on a real sshd: host keys pinned and refused, backup, restore from afar, several configurations of the server. Prints TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd.sh"
sshd_available || { echo "1..0 # skip $sshd_missing"; exit 77; }

# ---- pinning
sshd_start plain "Subsystem sftp internal-sftp"
host server "{recipients: recipients.txt}"
sshd_keys "$config/keys"
url="sftp://$sshd_user@127.0.0.1:$sshd_port$sshd_dir/repo"
sed -i "s|^repository: .*|repository: {url: '$url', ssh: {identity: ssh_ed25519, known_hosts: known_hosts}}|" "$config/policies/p.yaml"
echo one >"$source/one"
head -c 3000000 /dev/urandom >"$source/big"
is 0 "the policy is accepted" run_bkd policy check
is 9 "a host that is not pinned is refused" run_bkd init p
says "with its fingerprint and the next step" "bkd trust-host sftp://.* --fingerprint SHA256:"
is 2 "nothing is pinned without a person's word" run_bkd trust-host p
is 4 "another fingerprint is refused" run_bkd trust-host p --fingerprint SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
print=$(ssh-keygen -lf "$sshd_dir/host.pub" | cut -d' ' -f2)
is 0 "the right one is pinned" run_bkd trust-host p --fingerprint "$print"
is 0 "ssh-keygen finds the pinned key" ssh-keygen -f "$config/keys/known_hosts" -F "[127.0.0.1]:$sshd_port"
is 0 "pinning again changes nothing" run_bkd trust-host "$url" --yes

# ---- backup and restore
is 0 "init on the server" run_bkd init p
is 0 "first backup" backup
echo two >"$source/two"
is 0 "second backup" backup
is 0 "snapshots" run_bkd snapshots p
is 0 "check" run_bkd check p
far() { "$BKD_BIN/bkd-restore" -r "$url" -i "$config/keys/operations.txt" -s "$config/keys/allowed_signers" \
    --ssh-identity "$config/keys/ssh_ed25519" --known-hosts "$config/keys/known_hosts" "$@"; }
is 0 "restore from afar" far restore latest --target "$tree/restored"
is 0 "it is the same" diff -r "$source" "$tree/restored$source"
is 0 "one file to standard output" far dump 1 "$source/one"
says "its content" '^one$'
is 0 "ls" far ls latest
is 0 "list" far list
is 9 "without the key" "$BKD_BIN/bkd-restore" -r "$url" -s "$config/keys/allowed_signers" --known-hosts "$config/keys/known_hosts" list
is 9 "without pinned keys" "$BKD_BIN/bkd-restore" -r "$url" -s "$config/keys/allowed_signers" --ssh-identity "$config/keys/ssh_ed25519" list
is 1 "no part is left" sh -c "find '$sshd_dir/repo' -name '*.part-*' | grep ."

# ---- the stored bytes are those of a directory
is 0 "the same repository as a directory" sh -c "'$BKD_BIN/bkd-restore' -r '$sshd_dir/repo' -i '$config/keys/operations.txt' -s '$config/keys/allowed_signers' check --read-data"

# ---- keys that are wrong
ssh-keygen -q -t rsa -b 2048 -N '' -f "$config/keys/rsa"
is 9 "an RSA key is refused" "$BKD_BIN/bkd-restore" -r "$url" -s "$config/keys/allowed_signers" --ssh-identity "$config/keys/rsa" --known-hosts "$config/keys/known_hosts" list
says "with the reason and the remedy" "RSA key.*ssh-keygen -t ed25519"
ssh-keygen -q -t ed25519 -N '' -f "$config/keys/stranger"
is 9 "a key the account does not know" "$BKD_BIN/bkd-restore" -r "$url" -s "$config/keys/allowed_signers" --ssh-identity "$config/keys/stranger" --known-hosts "$config/keys/known_hosts" list
says "says so" "authorized_keys"
cp "$config/keys/ssh_ed25519" "$config/keys/secret"
ssh-keygen -q -p -N 'word' -f "$config/keys/secret"
echo word >"$config/keys/word"
chmod 600 "$config/keys/word"
is 9 "a key under a passphrase, without it" "$BKD_BIN/bkd-restore" -r "$url" -s "$config/keys/allowed_signers" --ssh-identity "$config/keys/secret" --known-hosts "$config/keys/known_hosts" list
is 0 "with it" "$BKD_BIN/bkd-restore" -r "$url" -s "$config/keys/allowed_signers" --ssh-identity "$config/keys/secret" --ssh-passphrase "$config/keys/word" --known-hosts "$config/keys/known_hosts" list
ssh-keygen -q -t ecdsa -N '' -f "$config/keys/ecdsa"
cat "$config/keys/ecdsa.pub" >>"$sshd_dir/authorized"
is 0 "an ECDSA key" "$BKD_BIN/bkd-restore" -r "$url" -s "$config/keys/allowed_signers" --ssh-identity "$config/keys/ecdsa" --known-hosts "$config/keys/known_hosts" list

# ---- another key of the host
sshd_stop
rm "$sshd_dir/host" "$sshd_dir/host.pub"
ssh-keygen -q -t ed25519 -N '' -f "$sshd_dir/host"
sshd_run
is 4 "a changed host key is refused" far list
says "as such" "shows another key"
is 4 "and not pinned over the old one" run_bkd trust-host p --yes
is 2 "nor without a person's word" run_bkd trust-host p
echo "other.example.net $(cut -d' ' -f1,2 "$sshd_dir/host.pub")" >>"$config/keys/known_hosts"
ssh-keygen -q -t ecdsa -N '' -f "$sshd_dir/host2"
echo "HostKey $sshd_dir/host2" >>"$sshd_dir/config"
sshd_stop
sshd_run
is 2 "a fingerprint that is none" run_bkd trust-host p --fingerprint MD5:aa:bb
is 0 "by its fingerprint it takes the place of the old one" run_bkd trust-host p --fingerprint "$(ssh-keygen -lf "$sshd_dir/host.pub" | cut -d' ' -f2)"
says "which is told" "another key was pinned"
is 0 "and is the one that counts" far list
is 0 "a key of another type by its fingerprint, too" run_bkd trust-host p --fingerprint "$(ssh-keygen -lf "$sshd_dir/host2.pub" | cut -d' ' -f2)" --json
says "as JSON" '"pinned":true'
is 0 "its type is asked for" far list -v
is 0 "what is pinned needs no word" run_bkd trust-host p
[ "$(wc -l <"$config/keys/known_hosts")" = 2 ] && ok "and other hosts' keys stay" || bad "and other hosts' keys stay"
cp "$config/keys/known_hosts" "$tree/known"
echo "both.example.net,[127.0.0.1]:$sshd_port $(cut -d' ' -f1,2 "$config/keys/stranger.pub")" >"$config/keys/known_hosts"
is 4 "a key that is pinned for several hosts stays" run_bkd trust-host p --fingerprint "$(ssh-keygen -lf "$sshd_dir/host.pub" | cut -d' ' -f2)"
says "and the line is to be changed" "by a line for several hosts: change that line first"
[ "$(wc -l <"$config/keys/known_hosts")" = 1 ] && ok "no other is beside it" || bad "no other is beside it"
mv "$tree/known" "$config/keys/known_hosts"
sshd_stop

# ---- a server without extensions, with one session, external program
sshd_start poor "Subsystem sftp /usr/lib/openssh/sftp-server -P posix-rename,hardlink,fsync,statvfs,fstatvfs,lsetstat,limits,setstat,fsetstat,symlink" "MaxSessions 1" "MaxStartups 3"
rm -f "$config/keys/known_hosts"
url="sftp://$sshd_user@127.0.0.1:$sshd_port$sshd_dir/repo"
sed -i "s|^repository: .*|repository: {url: '$url'}|" "$config/policies/p.yaml"
rm -rf "$state"
is 0 "pinned" run_bkd trust-host p --yes
is 0 "init on a poor server" run_bkd init p
head -c 30000000 /dev/urandom >"$source/bigger"
is 0 "backup" backup
rm -rf "$tree/restored"
is 0 "restore" far restore latest --target "$tree/restored"
is 0 "the same" diff -r "$source" "$tree/restored$source"
sshd_stop
is 8 "a server that is not there" far list
finish
