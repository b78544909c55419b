#!/bin/sh
# bkd drill: what is rehearsed is recorded as it was, and the repository stays as it is. Prints TAP. BKD_BIN is the directory of bkd and bkd-restore.
. "$(dirname "$0")/lib.sh"

fits() { if eval "$2"; then ok "$1"; else bad "$1"; fi; } # TITLE TEST
drill() { run_bkd drill "$@"; }
leftovers() { find "$scratch" -mindepth 1 | wc -l; }
step() { says "$1" "\"name\":\"$2\",\"took_ms\":[0-9]+,\"result\":\"$3\""; } # TITLE STEP RESULT

host h "{allow_single_recipient: false}"
scratch=$tree/scratch
mkdir "$scratch" "$source/erp dir"
printf 'objectives: {rto: 1h}\nverify: {scratch: %s}\n' "$scratch" >>"$config/policies/p.yaml"
seq 1 20000 >"$source/erp dir/numbers"
head -c 300000 /dev/urandom >"$source/random"
printf 'x' >"$source/名字"
run_bkd init p >/dev/null 2>&1
is 0 "a snapshot" backup
echo more >>"$source/erp dir/numbers"
is 0 "and another" backup
listing "$repo" >"$tree/before"

# ---- damage and deceit
is 0 "the negative drill" drill negative p --json --responsible 王芳 --participants "李雷, Anna Weiß"
for trick in "a flipped bit in an object" "an object that was removed" "an object that ends at 60 %" "an old state put back" "a key that is withheld"; do
    step "notices $trick" "$trick" passed
done
says "and passes" '"type":"summary".*"kind":"negative".*"snapshot":2.*"passed":true'
listing "$repo" >"$tree/after"
fits "the repository is as it was, to the byte and the second" 'cmp -s "$tree/before" "$tree/after"'
fits "nothing stays in the scratch space" '[ "$(leftovers)" = 0 ]'
record=$(ls "$state"/drills/*/record.json)
fits "the record has who is responsible, in any script" 'grep -qF "\"responsible\":\"\\u738B\\u82B3\"" "$record"'
fits "each step was journaled" '[ "$(grep -c "\"type\":\"step\"" "${record%/*}/journal.jsonl")" = 6 ]'
fits "history has no runs of the scratch copy" '! run_bkd history | grep -q check'
mv "$config/keys/operations.txt" "$tree/operations.txt"
is 0 "without an identity" drill negative p --json
says "it says what it could not try" 'not_exercised":\[.*this host has no identity'
mv "$tree/operations.txt" "$config/keys/operations.txt"

# A bkd-restore that notices nothing is found out.
mkdir "$tree/blind"
cp "$BKD_BIN/bkd" "$tree/blind/bkd"
printf '#!/bin/sh\n"%s/bkd-restore" "$@"\n[ $? = 9 ] || exit 0\nexit 9\n' "$BKD_BIN" >"$tree/blind/bkd-restore"
chmod +x "$tree/blind/bkd-restore"
is 4 "a restore that ends with 0 whatever happens" "$tree/blind/bkd" --config-dir "$config" --state-dir "$state" drill negative p --json
step "is found out" "a flipped bit in an object" failed
is 9 "an identity that is named must be there" drill negative p -i "$tree/nothing.txt"
finish
