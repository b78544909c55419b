#!/bin/sh
# `bkd status` read by a person who has never seen it: what is protected, what is not, since when, what to do; the exit codes for monitoring; the JSON. The clock
# is moved by faketime. Prints TAP. BKD_BIN is the directory of bkd and bkd-restore.
. "$(dirname "$0")/lib.sh"

status() { run_bkd status "$@"; }
wide() { awk 'length($0) > 80 && / .* .* /' "$tree/out" | grep -vE '^ *(->|!!|!|-)? *[^ ]+$' | wc -l; } # lines of several words beyond column 80
told() { # as says, whatever the line breaks
    tr -s '\n ' ' ' <"$tree/out" >"$tree/flat"
    if grep -Eq -- "$2" "$tree/flat"; then ok "$1"; else bad "$1"; fi
}
policy() { # NAME LINE…
    name=$1
    shift
    { printf 'sources: [%s]\nrepository: %s\nencryption: none\n' "$source" "$home/repo-$name"
      [ $# = 0 ] || printf '%s\n' "$@"; } >"$config/policies/$name.yaml"
}

host status none
rm "$config/policies/p.yaml"
mkdir -p "$tree/elsewhere"
mv "$config/keys/operations.txt" "$config/keys/recovery.txt" "$tree/elsewhere/"
seq 1 1000 >"$source/file"
is 0 "no policies" status
says "is said, and what to do" 'Nothing is protected.*no policies'

# --- the first day ------------------------------------------------------------------------------------------------------------------
policy erp 'objectives: {rpo: 24h, rto: 2h, tier: 1}' 'description: the ERP files'
policy web "offsite: [$home/copy]"
policy new
is 5 "nothing made yet" status
says "the headline" '^3 policies: 3 NOT PROTECTED, 0 at risk, 0 protected'
says "the next step" 'bkd init erp'
for p in erp web; do run_bkd init $p -q && run_bkd backup $p -q; done
is 5 "two of three" status
says "the headline" '^3 policies: 1 NOT PROTECTED, 0 at risk, 2 protected'
says "what is worst stands first" 'new +NOT PROTECTED no snapshot'
[ "$(grep -nE '^(erp|new|web) ' "$tree/out" | head -n 1 | cut -d: -f2 | cut -d' ' -f1)" = new ] && ok "in its place" || bad "in its place"
says "age against what is promised" 'erp +PROTECTED +newest snapshot a moment old \(24 h promised\)'
told "where copies are" 'copies elsewhere: 1 of 1'
is 0 "nothing is wider than a terminal" test "$(wide)" = 0
if grep -q "$(printf '\033')" "$tree/out"; then bad "no colours in a file"; else ok "no colours in a file"; fi
is 0 "one that is well" status erp
says "in detail" '^erp: PROTECTED'
says "what it is" '^the ERP files'
says "what is promised" 'Promised +a snapshot is at most 24 h old; a restore takes at most 2 h'
says "that there is no copy" 'Copies +none: when this place is lost'
says "that it was never proved" 'Proved +not yet by a restore'
rm "$config/policies/new.yaml"
is 0 "all well" status
says "is said in one line" '^All 2 policies are protected'
is 0 "--check of a good host" status --check
is 0 "says little" test "$(wc -l <"$tree/out")" = 1
is 0 "--json" status --json
says "the contract" '"type":"policy".*"policy":"erp","protected":true,.*"rpo_age_ms":[0-9]+,"rpo_ms":86400000,.*"alarms":\[\]'
jq -es 'map(select(.type == "policy")) | length == 2' "$tree/out" >/dev/null && ok "a line for each" || bad "a line for each"
is 2 "a policy that is not there" status nothing
says "what to do" "there is no policy 'nothing'"

# --- trouble ------------------------------------------------------------------------------------------------------------------------
echo 'sources: [relative]' >"$config/policies/wrong.yaml"
is 5 "a policy with mistakes" status --check
told "names it" 'the policy file cannot be used: .*wrong.yaml:1'
says "and what to do" 'bkd policy check wrong'
rm "$config/policies/wrong.yaml"
mv "$home/repo-erp" "$tree/elsewhere/repo-erp"
is 5 "a repository that is gone" status
told "is not one that was never made" 'repo-erp had snapshot 1 and is not there now'
says "what to do" 'mount its disk'
mv "$tree/elsewhere/repo-erp" "$home/repo-erp"
cp -a "$home/repo-erp" "$tree/elsewhere/old"
echo more >>"$source/file"
run_bkd backup erp -q
rm -rf "$home/repo-erp"
mv "$tree/elsewhere/old" "$home/repo-erp"
is 4 "a repository that was set back" status erp
says "says so" 'erp: NOT PROTECTED'
told "which snapshot is missing" 'does not hold number 2 as this host made it'
is 4 "weighs more than an objective" status --check
rm -rf "$state/policies/erp" "$home/repo-erp"
run_bkd init erp -q && run_bkd backup erp -q
head=$(echo "$home"/repo-erp/heads/*/1)
sed -i 's/^files 1/files 2/' "$head"
is 4 "a head that was changed" status --check
says "what to do" 'bkd check erp'

# --- time ---------------------------------------------------------------------------------------------------------------------------
if command -v faketime >/dev/null; then
    rm -rf "$state/policies/erp" "$home/repo-erp"
    run_bkd init erp -q && run_bkd backup erp -q
    is 5 "30 hours later" faketime -f +30h "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" status
    says "the promise was broken" 'NOT PROTECTED since 20[^ ]*Z: newest snapshot 30 h'
    says "what to do" 'bkd backup erp'
    faketime -f +30h "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" status --json >"$tree/out" 2>&1
    jq -es 'map(select(.policy == "erp"))[0] | .protected == false and .rpo_age_ms > 107000000 and .alarms[0].kind == "rpo"' "$tree/out" >/dev/null &&
        ok "in JSON as well" || bad "in JSON as well"
    is 5 "8 days later, the copy is too old as well" faketime -f +8d "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" status web
    told "says so" 'the newest snapshot of the copy .*/copy is 8 days'
    told "what to do" 'bkd ship web --to'
    is 0 "a clock that was set back a day" faketime -f -1d "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" status erp
    told "is told" "this host's clock is (2[34] h|24 h) before a snapshot of policy"
else
    echo "# there is no faketime: what time does is not tried"
fi
finish
