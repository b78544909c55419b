#!/bin/sh
# Retention as it is used: rules, what never goes, two phases, data that is shared, holds, a hand in the store, copies with rules of their own, backups at the same
# time, a copy that only grows and is pruned on its own server, recovery by hand of what is left. Signatures are looked at with ssh-keygen. Prints TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd.sh"
trap 'sshd_stop; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT

prune() { run_bkd prune p --json "$@"; }
night() { # a new file each, the one of the night before gone; the content of each night is kept beside
    rm -f "$source"/night-*
    head -c 60000 /dev/urandom >"$source/night-$1"
    echo "$1" >>"$source/log"
    backup --tag "night-$1" >"$tree/out" 2>&1 && rm -rf "$tree/kept-$1" && cp -a "$source" "$tree/kept-$1"
}
nights() { for n in $(seq "$1" "$2"); do night "$n" || return 1; done; }
same() { restore "$1" && diff -r "$tree/kept-$1" "$tree/restored$source"; }
by_hand() { # NUMBER [REPOSITORY]
    rm -rf "$tree/byhand"
    BKD_SIGNERS="$config/keys/allowed_signers" sh "${2:-$repo}/recover.sh" "${2:-$repo}" "$config/keys/operations.txt" "$1" "$tree/byhand" && diff -r "$tree/kept-$1" "$tree/byhand$source"
}
objects() { find "${1:-$repo}/objects" -type f | wc -l; }
# Ends the grace time for sure: records tell whole seconds.
wait_grace() { sleep 3; }

# --- rules and the two phases
host source '{recipients: recipients.txt}' 'keep: {last: 2}' 'grace: 1s'
is 0 "init" run_bkd init p
is 0 "five nights" nights 1 5
is 0 "a dry run" prune -n
is 0 "one line for each snapshot" test "$(grep -c '"type":"snapshot"' "$tree/out")" = 5
is 0 "a dry run again" prune -n
says "with why it stays" '"snapshot":5,.*"keep":true,"reasons":\["last","newest","newest-complete"\]'
says "and that it goes" '"snapshot":3,.*"keep":false,"reasons":\["no-rule-keeps-it"\]'
is 0 "it wrote nothing" test ! -e "$repo/bkd-store" -a ! -d "$repo/records"
is 0 "in words" run_bkd prune p --dry-run
says "each" '^ +1  .*  goes   no-rule-keeps-it'
before=$(objects)
is 0 "the first phase" prune
is 0 "removes nothing" test "$(objects)" = "$before"
tombstone=$(find "$repo/records" -type f)
awk '/^-----BEGIN SSH SIGNATURE-----$/ { exit } { print }' "$tombstone" >"$tree/text"
awk '/^-----BEGIN SSH SIGNATURE-----$/ { s = 1 } s' "$tombstone" >"$tree/sig"
verified() { ssh-keygen -Y verify -f "$config/keys/allowed_signers" -I "bkd-retention@$(hostname)" -n bkd-retention@v1 -s "$tree/sig" <"$tree/text"; }
is 0 "ssh-keygen verifies the tombstone" verified
is 0 "it names three snapshots" test "$(grep -c '^snapshot ' "$tree/text")" = 3
is 0 "what waits still restores" same 1
is 0 "and is listed" test "$(snapshots)" = 5
is 0 "a hold takes one back" run_bkd hold p 2
wait_grace
is 0 "a check after the time, before the second phase" run_bkd check p
is 0 "the second phase" prune
says "two are gone" '"removed_snapshots":2'
says "the held one was taken back" '"revived":1'
is 0 "and stays" same 2
is 0 "as do the last two" same 4
is 0 "the newest" same 5
is 0 "by hand too" by_hand 4
is 1 "one that is gone does not restore" restore 1
says "and it is said why" 'removed by rule: given up 20'
is 1 "it cannot be held any more" run_bkd hold p 1
is 1 "by hand neither" by_hand 1
says "by hand it is said why" 'removed by rule'
is 0 "the rest is whole" run_bkd check p --read-data -i "$config/keys/operations.txt"
is 0 "for bkd-restore, too" recover check --read-data
is 0 "the listing has what there is" test "$(snapshots)" = 3
is 0 "and the others when asked" run_bkd snapshots p --pruned
says "as pruned" '^ +1 .*pruned'
is 0 "bkd-restore list leaves them out" recover list
says "and counts them" '2 more were removed by rule'
is 0 "the next prune finds nothing" prune
is 0 "to remove" test "$(field removed_objects)" = 0
is 0 "the next night builds on what is there" night 6
is 0 "and restores" same 6
is 0 "no marker of a run is left" test -z "$(ls "$repo/runs" 2>/dev/null)"

# --- what is removed by somebody else is an alarm
refs=$(grep -h '^refs ' "$repo"/heads/*/5 | cut -d ' ' -f 2)
mv "$repo/refs/$refs" "$tree/hidden"
is 4 "a list of objects that is gone without a tombstone" run_bkd check p
is 4 "stops every prune" prune
says "which says so" 'nobody gave it up'
mv "$tree/hidden" "$repo/refs/$refs"
mv "$config/keys/retention" "$tree/retention"
is 9 "without the retention key nothing is given up" prune
says "and it is said where it belongs" 'retention key'
is 9 "a host's own key does not do" prune --key "$config/keys/signing"
mv "$tree/retention" "$config/keys/retention"

# --- rules that become wider take back; none keeps all
is 0 "given up" prune
sed -i 's/last: 2/last: 9/' "$config/policies/p.yaml"
wait_grace
is 0 "a wider rule" prune
is 0 "takes back" test "$(field revived)" = 1
is 0 "what was given up" same 4
sed -i '/^keep:/d' "$config/policies/p.yaml"
is 0 "no rule" prune -n
says_not "keeps all" '"keep":false'
is 2 "a rule misspelt" sh -c "echo 'keep: {dayly: 3}' >>'$config/policies/p.yaml'; '$BKD_BIN/bkd' --config-dir '$config' --state-dir '$state' prune p"
says "is explained" "did you mean 'daily'"
sed -i '/^keep:/d' "$config/policies/p.yaml"

# --- copies by their own rules; a copy that begins after some are gone
host copies '{recipients: recipients.txt}' 'keep: {last: 1}' 'grace: 1s' 'offsite:' "  - {url: $tree/copy-all, keep: {all: true}}" "  - {url: $tree/copy-two, keep: {last: 2}}"
is 0 "init" run_bkd init p
is 0 "four nights, shipped" nights 1 4
is 0 "a copy has a name from then on" test -s "$tree/copy-all/bkd-store" -a -s "$tree/copy-two/bkd-store"
is 0 "all places" run_bkd prune p --all
wait_grace
is 0 "all places again" run_bkd prune p --all
in_copy() { "$BKD_BIN/bkd-restore" -r "$1" -i "$config/keys/operations.txt" -s "$config/keys/allowed_signers" list --json | grep -c '"type":"snapshot"'; }
is 0 "one in the repository" test "$(snapshots)" = 1
is 0 "two in one copy" test "$(in_copy "$tree/copy-two")" = 2
is 0 "all in the other" test "$(in_copy "$tree/copy-all")" = 4
for place in "$repo" "$tree/copy-two" "$tree/copy-all"; do
    is 0 "whole: ${place##*/}" "$BKD_BIN/bkd-restore" -r "$place" -i "$config/keys/operations.txt" -s "$config/keys/allowed_signers" check --read-data
done
is 0 "what the repository lacks restores from the copy" by_hand 1 "$tree/copy-all"
is 0 "a further night is shipped" night 5
sed -i "\$a\\  - {url: $tree/copy-new}" "$config/policies/p.yaml"
is 0 "a new copy" run_bkd ship p --to "$tree/copy-new"
is 0 "has what there is" test "$(in_copy "$tree/copy-new")" = 2
is 0 "and is whole" run_bkd check p --from "$tree/copy-new"
is 0 "once more" run_bkd ship p
is 0 "a copy of the whole" run_bkd copy "$repo" "$tree/copy-whole"
is 0 "is whole" "$BKD_BIN/bkd-restore" -r "$tree/copy-whole" -s "$config/keys/allowed_signers" check
some=$(find "$tree/copy-two/objects" -type f | head -n 1)
mv "$some" "$tree/hidden"
is 4 "an object that is gone from a copy without a tombstone" run_bkd check p --from "$tree/copy-two"
mv "$tree/hidden" "$some"
cp "$tree/copy-two/bkd-store" "$tree/hidden"
cp "$tree/copy-all/bkd-store" "$tree/copy-two/bkd-store" 2>/dev/null || printf 'bkd-store/1\nid %032d\n' 1 >"$tree/copy-two/bkd-store"
is 4 "a copy that got the name of another" run_bkd ship p
says "is noticed" 'not the one that was there'
cp "$tree/hidden" "$tree/copy-two/bkd-store"
is 0 "with its own name again" run_bkd ship p
cp "$tree/copy-all/bkd-store" "$tree/hidden"
cp "$repo/bkd-store" "$tree/copy-all/bkd-store"
is 4 "one that never had tombstones, and got that of the repository" run_bkd ship p
cp "$tree/hidden" "$tree/copy-all/bkd-store"

# --- backups at the same time
sed -i '/^offsite:/,$d' "$config/policies/p.yaml"
( for n in 6 7 8 9 10; do night "$n"; done ) &
while kill -0 $! 2>/dev/null; do prune >/dev/null 2>&1; sleep 0.3; done
wait $!
is 0 "prunes while backups ran: all is whole" run_bkd check p --read-data -i "$config/keys/operations.txt"
is 0 "the newest restores" same 10

# --- a copy that only grows, pruned on its server
if sshd_available; then
    sshd_start vault "Subsystem sftp internal-sftp"
    vault=$tree/vault
    mkdir -p "$vault"
    sed "s|^|restrict,command=\"$BKD_BIN/bkd serve --append-only --root $vault\" |" "$tree/user_key.pub" >"$sshd_dir/authorized"
    far="sftp://$sshd_user@127.0.0.1:$sshd_port/copy"
    host far '{recipients: recipients.txt}' 'keep: {last: 1}' 'grace: 1s' 'offsite:' "  - url: $far"
    sshd_keys "$config/keys"
    is 0 "pinned" run_bkd trust-host "$far" --yes
    is 0 "init" run_bkd init p
    is 0 "three nights, shipped" nights 1 3
    is 0 "given up there" run_bkd prune p --at "$far"
    wait_grace
    is 3 "this host can remove nothing there" run_bkd prune p --at "$far"
    says "and says what to do" 'bkd prune --store DIR'
    run_there() { BKD_CONFIG_DIR=$tree/nothing BKD_STATE_DIR=$tree/there "$BKD_BIN/bkd" "$@"; }
    is 9 "there: whose signatures count must be said" run_there prune --store "$vault/copy"
    cp "$config/keys/allowed_signers" "$tree/signers"
    is 0 "a dry run there" run_there prune --store "$vault/copy" -s "$tree/signers" --dry-run --json
    says "says what would go" '"snapshot":1,.*"keep":false,"reasons":\["given-up"\]'
    touch -d '9 days ago' "$vault/copy/objects/left.part-1" "$vault/copy/objects/left.part" # ours, and what other clients put
    is 0 "there, as tombstones say" run_there prune --store "$vault/copy" -s "$tree/signers"
    is 0 "one is left" test "$(objects "$vault/copy")" -lt 3
    is 0 "unfinished files of killed sessions are gone" test -z "$(find "$vault/copy" -name 'left.part*')"
    is 0 "the source sees no harm" run_bkd check p --from "$far"
    is 0 "nor the next night" night 4
    is 0 "all there is whole" "$BKD_BIN/bkd-restore" -r "$vault/copy" -i "$config/keys/operations.txt" -s "$config/keys/allowed_signers" check --read-data
    is 0 "with rules of its own: the key" ssh-keygen -q -t ed25519 -N '' -C vault -f "$tree/vault_key"
    is 9 "which the signers must know" run_there prune --store "$vault/copy" -s "$tree/signers" --keep last=1 --key "$tree/vault_key" --grace 1s
    echo "vault namespaces=\"bkd-retention@v1\" $(cut -d ' ' -f 1,2 "$tree/vault_key.pub")" | tee -a "$tree/signers" >>"$config/keys/allowed_signers"
    is 0 "given up by its own rule" run_there prune --store "$vault/copy" -s "$tree/signers" --keep last=1 --key "$tree/vault_key" --grace 1s
    wait_grace
    is 0 "removed by its own rule" run_there prune --store "$vault/copy" -s "$tree/signers" --keep last=1 --key "$tree/vault_key" --grace 1s --json
    is 0 "one" test "$(field removed_snapshots)" = 1
    is 0 "the source sees no harm in that" run_bkd check p --from "$far"
    is 0 "and goes on" night 5
    is 0 "which restores from there by hand" by_hand 5 "$vault/copy"
    is 2 "rules that are none" run_there prune --store "$vault/copy" -s "$tree/signers" --keep dayly=1
else
    ok "a copy that only grows # skip $sshd_missing"
fi
finish
