#!/bin/sh
# A far side that can only grow: a real sshd whose account has `bkd serve --append-only` as forced command. Backups, copies and restores go through it; whoever has the
# source's SSH key can neither remove nor change what is there, nor do anything else. Prints TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd.sh"
sshd_available || { echo "1..0 # skip $sshd_missing"; exit 77; }

sshd_start vault "Subsystem sftp internal-sftp" "MaxStartups 100" "AllowTcpForwarding yes" "PermitTunnel yes"
vault=$tree/vault
mkdir -p "$vault" "$tree/beside"
echo secret >"$tree/beside/secret"
sed "s|^|restrict,command=\"$BKD_BIN/bkd serve --append-only --root $vault\" |" "$tree/user_key.pub" >"$sshd_dir/authorized"
far="sftp://$sshd_user@127.0.0.1:$sshd_port/copy"
host source "{recipients: recipients.txt}" "offsite:" "  - url: $far"
sshd_keys "$config/keys"
from() { where=$1; shift; "$BKD_BIN/bkd-restore" -r "$where" -i "$config/keys/operations.txt" -s "$config/keys/allowed_signers" \
    --ssh-identity "$config/keys/ssh_ed25519" --known-hosts "$config/keys/known_hosts" "$@"; }
same_from() { # PLACE SNAPSHOT
    rm -rf "$tree/restored"
    from "$1" restore "$2" --target "$tree/restored" -q && diff -r "$source" "$tree/restored$source"
}

# ---- the system's log: read by a listener where nobody else has it
if [ "$(id -u)" = 0 ] && [ ! -e /dev/log ] && command -v perl >/dev/null; then
    perl -MSocket -e 'socket(my $s, PF_UNIX, SOCK_DGRAM, 0); bind($s, pack_sockaddr_un("/dev/log")) or die; open(my $o, ">", $ARGV[0]); $o->autoflush(1);
        print $o "$m\n" while defined recv($s, $m, 65536, 0)' "$tree/syslog" &
    listener=$!
    trap 'kill $listener; rm -f /dev/log; sshd_stop; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT
    n=0
    while [ ! -S /dev/log ] && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
fi
logged() { # TITLE PATTERN
    if [ -z "${listener:-}" ]; then ok "$1 # skip another program reads the system's log"; return; fi
    cp "$tree/syslog" "$tree/out"
    says "$1" "$2"
}

# ---- what it is for
head -c 20000000 /dev/urandom >"$source/image"
seq 1 20000 >"$source/table"
is 0 "pinned" run_bkd trust-host "$far" --yes
is 0 "init" run_bkd init p
is 0 "a backup is shipped through it" backup
says "the copy is current" '"state":"current"'
is 0 "the copy restores alone" same_from "$far" latest
echo more >>"$source/table"
head -c 300000 /dev/urandom | dd of="$source/image" bs=4096 seek=500 conv=notrunc status=none
is 0 "the next night" backup --no-ship
is 0 "shipped by itself" run_bkd ship p
is 0 "everything there is right" from "$far" check --read-data
is 0 "nothing unfinished is left" test -z "$(find "$vault" -name '*.part-*')"
is 0 "check asks the server to hash" run_bkd check p --from "$far" --json
says "each object, and reads none" '"server_hashed_objects":[1-9][0-9]*,"server_hashed_bytes":[0-9]{8},"size_only_objects":0'
some=$(find "$vault/copy/objects" -type f -size +1M | head -n 1)
chmod u+w "$some"
printf '\377\377\377' | dd of="$some" bs=1 seek=1000000 conv=notrunc status=none
is 4 "an object that rots there is found" run_bkd check p --from "$far"
says "without reading it" "${some##*/}: its bytes do not have the SHA-256 of its name, says the server"
object_here=$repo/${some#"$vault/copy/"}
cat "$object_here" >"$some"
is 0 "which is right again" run_bkd check p --from "$far"
says "in words" "[0-9]+ objects, [0-9.]+ [KM]iB, hashed by the server itself"
is 2 "a copy that is none" run_bkd check p --from /nowhere
is 0 "the same place by its full path" same_from "sftp://$sshd_user@127.0.0.1:$sshd_port$vault/copy" latest
sed -i -e "s|^repository:.*|repository: {url: \"sftp://$sshd_user@127.0.0.1:$sshd_port$vault/direct\"}|" -e '/^offsite:/,$d' "$config/policies/p.yaml"
is 0 "a repository of its own" run_bkd init p
is 0 "a backup straight into it" backup
is 0 "a second one" backup
is 0 "restored" same_from "sftp://$sshd_user@127.0.0.1:$sshd_port/direct" latest
is 0 "checked by bkd" run_bkd check p

# ---- what whoever broke in at the source can do: he has the key, and the host key
known="-o UserKnownHostsFile=$config/keys/known_hosts -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o BatchMode=yes -i $config/keys/ssh_ed25519"
# The options are words.
# shellcheck disable=SC2086
attack() { printf '%s\n' "$@" >"$tree/batch"; sftp $known -P "$sshd_port" -b "$tree/batch" "$sshd_user@127.0.0.1"; }
# shellcheck disable=SC2086
command_there() { timeout 20 ssh $known -p "$sshd_port" "$@"; }
state_of() { (cd "$tree" && find vault beside -printf '%p %y %m %n %s %T@ %l\n' | sort; find vault beside -type f -print0 | sort -z | xargs -0 sha256sum); }
ln -s ../beside "$vault/up"
ln -s "$tree/beside/secret" "$vault/link"
chain=$(ls "$vault/copy/heads")
head=copy/heads/$chain/1
object=$(cd "$vault" && find copy/objects -type f | head -n 1)
state_of >"$tree/before"
unchanged() { (cd "$tree" && state_of) >"$tree/after"; cmp -s "$tree/before" "$tree/after"; }
is 0 "stock sftp lists" attack "ls -l copy"
says "what is there" "bkd-repository"
is 0 "stock sftp reads" attack "get $object $tree/got"
is 0 "what was written" cmp "$tree/got" "$vault/$object"
is 0 "whole trees, too" attack "get -r copy $tree/got-all"
is 0 "which restore" "$BKD_BIN/bkd-restore" -r "$tree/got-all" -s "$config/keys/allowed_signers" -i "$config/keys/operations.txt" check --read-data
refused=0
tried=0
try() { # COMMAND: of sftp, which is to fail and to change nothing
    tried=$((tried + 1))
    if attack "$1" >"$tree/out" 2>&1; then bad "sftp: $1 is refused"; return; fi
    unchanged && refused=$((refused + 1)) || { bad "sftp: $1 changes nothing"; cp "$tree/after" "$tree/before"; }
}
echo attacker >"$tree/evil"
try "rm $object"
try "rm $head"
try "put $tree/evil $object"
try "put -a $tree/evil $object"
try "reput $tree/evil $head"
try "put -a $tree/evil newname"
try "rename $head $head.old"
try "rename $head copy/bkd-repository"
try "rename -l $head copy/bkd-repository"
try "chmod 777 $object"
try "chown 1 $object"
try "chgrp 1 $object"
try "symlink /etc/passwd mine"
try "ln -s /etc/passwd mine"
try "ln $object mine"
try "rmdir copy/heads"
try "rmdir copy"
try "get /etc/passwd $tree/stolen"
try "get ../beside/secret $tree/stolen"
try "get up/secret $tree/stolen"
try "get link $tree/stolen"
try "get $tree/beside/secret $tree/stolen"
try "cd up"
try "mkdir up/new"
try "mkdir ../new"
[ $refused = $tried ] && ok "$tried commands of sftp are refused and change nothing" || bad "$tried commands of sftp are refused and change nothing"
[ ! -e "$tree/stolen" ] && ok "nothing from outside was read" || bad "nothing from outside was read"
logged "each is in the system's log" "bkd-serve\[[0-9]+\]: refused: remove '/$object' \(client 127.0.0.1, root '$vault'\)"
is 1 "a command" command_there "$sshd_user@127.0.0.1" "rm -rf $vault"
says "is told that there is none" "speaks SFTP and nothing else"
is 1 "a shell" command_there "$sshd_user@127.0.0.1"
is 1 "a command that looks like sftp" command_there "$sshd_user@127.0.0.1" "$(printf 'touch %s/evil; internal-sftp' "$tree")"
command_there "$sshd_user@127.0.0.1" "internal-sftp; touch $tree/evil-ran" </dev/null >"$tree/out" 2>&1
[ ! -e "$tree/evil-ran" ] && ok "only its name counts" || bad "only its name counts"
# shellcheck disable=SC2086
scp -O $known -P "$sshd_port" "$tree/evil" "$sshd_user@127.0.0.1:evil" >"$tree/out" 2>&1 </dev/null && bad "the old scp" || ok "the old scp"
is 12 "rsync" rsync -e "ssh $known -p $sshd_port" "$tree/evil" "$sshd_user@127.0.0.1:evil"
logged "commands are logged, escaped" "refused: command 'rm -rf $vault'"
(command_there -N -o ExitOnForwardFailure=yes -R 127.0.0.1:0:127.0.0.1:22 "$sshd_user@127.0.0.1" </dev/null >"$tree/out" 2>&1) && bad "no port is forwarded from there" || ok "no port is forwarded from there"
command_there -W "127.0.0.1:$sshd_port" "$sshd_user@127.0.0.1" </dev/null >"$tree/out" 2>&1 && bad "nor through it" || ok "nor through it"
says "which sshd says" "administratively prohibited|open failed"
unchanged && ok "nothing has changed" || bad "nothing has changed"

# ---- what he can do is add; that does not harm
is 0 "he can make directories" attack "mkdir copy/heads/new" "cd copy/heads/new" "cd .." "pwd"
says "and find his way" "directory: /copy/heads$"
is 0 "and files, in each way that clients put them" attack "put $tree/evil by-sftp" "put $tree/evil by-rename.part" "rename by-rename.part by-rename"
# shellcheck disable=SC2086
is 0 "scp's, too" scp $known -P "$sshd_port" "$tree/evil" "$sshd_user@127.0.0.1:by-scp"
for made in by-sftp by-rename by-scp; do cmp "$tree/evil" "$vault/$made" || bad "$made is what was put"; done
is 1 "each once" attack "put $tree/beside/secret by-sftp"
is 0 "and it stays" cmp "$tree/evil" "$vault/by-sftp"
is 0 "no part of it is left" test -z "$(find "$vault" -name '*.part*')"
is 0 "the copy restores" same_from "$far" latest
is 0 "and is whole" from "$far" check
is 0 "no old object opens without an identity" sh -c "! '$BKD_BIN/bkd-restore' -r '$far' -s '$config/keys/allowed_signers' --ssh-identity '$config/keys/ssh_ed25519' \
    --known-hosts '$config/keys/known_hosts' restore latest --target '$tree/no'"

# ---- proved by trying
is 0 "check-remote says so" run_bkd check-remote p --expect-append-only
says "in words" "append-only: yes"
says_not "nothing is possible" "POSSIBLE"
says "what the server offers" "fsync@openssh.com"
says "what it left there" "left there +'.*/direct/tmp/check-remote-"
is 0 "as JSON, for an address" run_bkd check-remote "$far" --json
says "the summary" '"append_only":true,"free_bytes":[0-9]+,"total_bytes":[0-9]+,"clock_ahead_s":(-1|0|1),'
[ "$(grep -c '"type":"attempt".*"refused":true' "$tree/out")" = 12 ] && ok "12 attempts" || bad "12 attempts"
is 0 "the repository is whole with what was left" run_bkd check p
sed -i 's/^restrict.*" ssh/ssh/' "$sshd_dir/authorized"
plain="sftp://$sshd_user@127.0.0.1:$sshd_port$vault/copy"
is 0 "a plain account" run_bkd check-remote "$plain"
says "is not" "append-only: NO"
says "can delete" "delete +POSSIBLE"
says "can overwrite" "overwrite +POSSIBLE"
says "can run commands" "run a command +POSSIBLE"
is 4 "which is an alarm when the contrary is expected" run_bkd check-remote "$plain" --expect-append-only
says "with what helps" "bkd serve"
is 0 "a server that hashes nothing is read from" run_bkd check p --json
says "all of it, when it is little" '"server_hashed_objects":0,"server_hashed_bytes":0,"size_only_objects":0'
is 0 "its sha256sum can do it" run_bkd check p --far-sha256sum --read none --json
says "for all" '"server_hashed_objects":[1-9][0-9]*,"server_hashed_bytes":[0-9]+,"size_only_objects":0'
some=$(find "$vault/direct/objects" -type f | head -n 1)
cp "$some" "$tree/kept"
printf '\377\377' | dd of="$some" bs=1 seek=300 conv=notrunc status=none
is 4 "and finds what rots" run_bkd check p --far-sha256sum --read none
says "by name" "${some##*/}: .*says the server"
cat "$tree/kept" >"$some"
is 0 "or not at all" run_bkd check p --read none
says "which is told" "of which only the size was compared"
is 2 "but not otherwise" run_bkd check p --read some
sed -i "1s|^|restrict,command=\"internal-sftp\" |" "$sshd_dir/authorized"
is 4 "nor is one with internal-sftp only" run_bkd check-remote "$plain" --expect-append-only --json
says_not "nothing hangs" "unreachable"
says "but it runs no command" '"attempt":"run a command","refused":true'
is 0 "sha256sum where no command runs" run_bkd check p --far-sha256sum
says "is told" "no sha256sum can be run on the server"
is 0 "nothing was left there" test "$(find "$vault/copy/tmp" -type f | wc -l)" = 1
is 2 "an address that is none" run_bkd check-remote sftp://
is 8 "a server that is not there" run_bkd check-remote "sftp://$sshd_user@127.0.0.1:1/x"
sed -i "1s|^.* ssh-|restrict,command=\"$BKD_BIN/bkd serve --append-only --root $vault\" ssh-|" "$sshd_dir/authorized"

# ---- the program itself
serve() { "$BKD_BIN/bkd" serve "$@"; }
is 2 "without --append-only nothing is offered" serve --root "$vault"
says "which is said" "--append-only"
is 2 "nor without a root" serve --append-only
is 1 "a root that is not there" serve --append-only --root "$tree/nowhere"
is 0 "the end of the input is the end" serve --append-only --root "$vault"
is 4 "what is no SFTP ends it" sh -c "echo hello hello hello | '$BKD_BIN/bkd' serve --append-only --root '$vault'"
mkfifo "$tree/pipe"
("$BKD_BIN/bkd" serve --append-only --root "$vault" <"$tree/pipe" >/dev/null 2>"$tree/out"; echo $? >"$tree/status") &
exec 3>"$tree/pipe"
sleep 0.3
pkill -TERM -f "serve --append-only --root $vault" -P $!
wait $!
exec 3>&-
[ "$(cat "$tree/status")" = 0 ] && ok "SIGTERM ends it cleanly" || bad "SIGTERM ends it cleanly"
sshd_stop
# ---- confined: a fault in it would lead nowhere
mkfifo "$tree/hold"
"$BKD_BIN/bkd" serve --append-only --root "$vault" <"$tree/hold" >"$tree/out" 2>&1 &
served=$!
exec 9>"$tree/hold"
n=0
while [ $n -lt 50 ] && ! grep -q '^Seccomp:.*2' "/proc/$served/status"; do sleep 0.1; n=$((n + 1)); done
grep -q '^NoNewPrivs:.*1' "/proc/$served/status" && ok "bkd serve gains no rights" || bad "bkd serve could gain rights"
if grep -q '^Seccomp:.*2' "/proc/$served/status"; then ok "and starts no programs"; else ok "and starts no programs # skip seccomp is forbidden here"; fi
exec 9>&-
wait "$served" 2>/dev/null
finish
