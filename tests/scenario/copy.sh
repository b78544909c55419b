#!/bin/sh
# bkd copy: whole repositories, of several hosts, between directories and servers. Prints TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd.sh"
host a "{recipients: recipients.txt}"
head -c 3000000 /dev/urandom >"$source/image"
seq 1 20000 >"$source/table"
run_bkd init p >"$tree/out" 2>&1
backup >"$tree/out" 2>&1
echo two >"$source/two"
backup --tag second >"$tree/out" 2>&1
# A second chain in the same repository.
sed "s|^description:.*|description: other|" "$config/policies/p.yaml" >"$config/policies/q.yaml"
run_bkd backup q >"$tree/out" 2>&1
from() { where=$1; shift; "$BKD_BIN/bkd-restore" -r "$where" -i "$config/keys/operations.txt" -s "$config/keys/allowed_signers" "$@"; }
same_files() { (cd "$1" && find . -type f ! -path './tmp/*' ! -path './runs/*' | sort) >"$tree/names-1"; (cd "$2" && find . -type f ! -path './tmp/*' ! -path './runs/*' | sort) >"$tree/names-2"; cmp "$tree/names-1" "$tree/names-2" && diff -r -x tmp -x runs "$1" "$2"; }

is 0 "a copy" run_bkd copy "$repo" "$tree/copy"
says "says what it did" "has all 3 snapshots of $repo; copied 3 snapshots, [0-9]+ objects"
is 0 "has the same files" same_files "$repo" "$tree/copy"
is 0 "is whole" from "$tree/copy" check --read-data
is 0 "again" run_bkd copy "$repo" "$tree/copy" --json
says "nothing was left to do" '"snapshots":3,"snapshots_copied":0,"snapshots_left_out":0,"objects":0,"bytes":0,"records":0'
echo three >"$source/three"
backup >"$tree/out" 2>&1
is 0 "one more snapshot" run_bkd copy "$repo" "$tree/copy" --json
says "is all that goes" '"snapshots_copied":1'
is 0 "they are the same again" same_files "$repo" "$tree/copy"

# What must not be overwritten or believed.
copied=$tree/copy repo_a=$repo config_a=$config state_a=$state
host b none
run_bkd init p >"$tree/out" 2>&1
repo_b=$repo repo=$repo_a config=$config_a state=$state_a
is 4 "another repository is refused" run_bkd copy "$repo" "$repo_b"
says "and named" "'bkd-repository' in $repo_b is not that of $repo"
object=$(find "$repo/objects" -type f | head -n 1)
chmod u+w "$object"
cp "$object" "$tree/kept"
printf x | dd of="$object" conv=notrunc status=none
is 4 "a damaged object is not copied" run_bkd copy "$repo" "$tree/fresh"
says "but named" "is damaged"
is 0 "what was copied before it is good" sh -c "[ -z \"\$(find '$tree/fresh/heads' -type f 2>/dev/null)\" ] || '$BKD_BIN/bkd-restore' -r '$tree/fresh' -s '$config/keys/allowed_signers' check --quick"
cat "$tree/kept" >"$object"
is 0 "it goes on when it is right again" run_bkd copy "$repo" "$tree/fresh"
is 0 "to the same end" same_files "$repo" "$tree/fresh"
is 1 "no repository there" run_bkd copy "$tree/home" "$tree/other"
is 9 "signers that are not there" run_bkd copy "$repo" "$tree/other" --signers "$tree/nothing"
is 2 "one argument is too few" run_bkd copy "$repo"

# Servers on either side.
if sshd_available; then
    sshd_start vault "Subsystem sftp internal-sftp" "MaxStartups 100"
    sshd_keys "$config/keys"
    far="sftp://$sshd_user@127.0.0.1:$sshd_port$tree/far"
    is 0 "pinned" run_bkd trust-host "$far" --yes
    is 0 "to a server" run_bkd copy "$repo" "$far"
    is 0 "the same files" same_files "$repo" "$tree/far"
    is 0 "from a server to a server" run_bkd copy "$far" "$far-2" --from-identity "$tree/user_key" --to-identity "$tree/user_key"
    is 0 "the same files again" same_files "$repo" "$tree/far-2"
    printf 'Host elsewhere\n  HostName 127.0.0.1\n  Port %s\n  User %s\n' "$sshd_port" "$sshd_user" >"$tree/ssh_config"
    is 0 "a host of ssh_config is pinned" run_bkd trust-host "sftp://elsewhere$tree/far-3" --ssh-config "$tree/ssh_config" --yes
    is 2 "no rate" run_bkd copy "$repo" "$far" --bandwidth fast
    is 0 "to a host that ssh_config explains, at a rate" run_bkd copy "$repo" "sftp://elsewhere$tree/far-3" --ssh-config "$tree/ssh_config" --bandwidth 20MiB/s
    is 0 "the same files there" same_files "$repo" "$tree/far-3"
    is 0 "back into a directory" run_bkd copy "$far-2" "$tree/back"
    is 0 "and again the same" same_files "$repo" "$tree/back"
    sshd_stop
else
    ok "servers # skip $sshd_missing"
fi
finish
