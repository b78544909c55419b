#!/bin/sh
# The negative drill of a copy on a server: the line is cut, the host key is a wrong one; each must be noticed, and one that is not is an alarm. Prints TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd.sh"
sshd_available || { echo "1..0 # SKIP $sshd_missing"; exit 0; }

fits() { if eval "$2"; then ok "$1"; else bad "$1"; fi; } # TITLE TEST
step() { says "$1" "\"name\":\"$2\",.*\"took_ms\":[0-9]+,\"result\":\"$3\"[^}]*${4:-}"; } # TITLE STEP RESULT [TEXT]
drill() { run_bkd drill negative p --json "$@"; }

host h "{allow_single_recipient: false}"
sshd_start vault "Subsystem sftp internal-sftp"
sshd_keys "$config/keys"
mkdir "$tree/scratch" "$tree/far"
printf 'verify: {scratch: %s}\noffsite:\n  - {url: "sftp://%s@127.0.0.1:%s%s/far/p", ssh: {identity: ssh_ed25519}}\n' "$tree/scratch" "$sshd_user" "$sshd_port" "$tree" >>"$config/policies/p.yaml"
head -c 3000000 /dev/urandom >"$source/random"
seq 1 20000 >"$source/numbers"
run_bkd trust-host p --yes >"$tree/out" 2>&1
run_bkd init p >/dev/null 2>&1
is 0 "a snapshot, and its copy on a server" backup
listing "$tree/far" >"$tree/before"

is 0 "the negative drill works with the copy there" drill
step "a flipped bit is noticed" "a flipped bit in an object" passed
step "a line that is cut is noticed" "a line that is cut at 60 %" passed "bkd-restore ends with 8"
step "a wrong host key is noticed" "a wrong host key" passed "bkd-restore ends with 4"
says "all of them" '"passed":true,"broken_off":false'
listing "$tree/far" >"$tree/after"
fits "the copy is as it was" 'cmp -s "$tree/before" "$tree/after"'
fits "nothing stays in the scratch space" '[ -z "$(ls -A "$tree/scratch")" ]'
run_bkd status p --json >"$tree/out" 2>&1
says_not "there is no alarm" '"kind":"negative-drill"'

sed -i 's/identity: ssh_ed25519}/identity: ssh_ed25519, transport: ssh}/' "$config/policies/p.yaml"
is 0 "so it does by the system's ssh" drill
step "where a cut line" "a line that is cut at 60 %" passed "bkd-restore ends with 8"
step "and a wrong host key are noticed" "a wrong host key" passed "bkd-restore ends with 4"
sed -i 's/, transport: ssh}/}/' "$config/policies/p.yaml"

# A bkd-restore that notices nothing on the way is found out.
mkdir "$tree/blind"
cp "$BKD_BIN/bkd" "$tree/blind/bkd"
cat >"$tree/blind/bkd-restore" <<EOF
#!/bin/sh
case "\$*" in *sftp://*) echo '{"type":"summary","files":2,"bytes":1,"problems":{"lost":0}}'; exit 0 ;; esac
exec "$BKD_BIN/bkd-restore" "\$@"
EOF
chmod +x "$tree/blind/bkd-restore"
is 4 "a restore that notices nothing on the way" "$tree/blind/bkd" --config-dir "$config" --state-dir "$state" drill negative p --json
step "neither the cut line" "a line that is cut at 60 %" failed
step "nor the wrong key" "a wrong host key" failed
step "though the damage" "a flipped bit in an object" passed
is 4 "is an alarm" run_bkd status p --json
says "of the heaviest kind" '"kind":"negative-drill","severity":"critical"'
run_bkd drill list p --kind negative --json >"$tree/out"
says "and on record" '"name":"a wrong host key",.*"result":"failed".*"passed":false'

mv "$config/keys/operations.txt" "$tree/operations.txt"
is 0 "without an identity the key of the server is looked at all the same" drill
step "and the line is not cut" "a line that is cut at 60 %" skipped
step "which is told" "a wrong host key" passed
mv "$tree/operations.txt" "$config/keys/operations.txt"
run_bkd status p --json >"$tree/out" 2>&1
says_not "a drill in which all was noticed ends the alarm" '"kind":"negative-drill"'
sshd_stop
is 8 "a server that is down is told as that" drill
run_bkd status p --json >"$tree/out" 2>&1
says_not "and is no deceit" '"kind":"negative-drill"'
finish
