#!/bin/sh
# bkd verify as somebody who is not root: in a user namespace files have their owners, capabilities and ACLs, checks run there, nothing stays behind, and what could
# not be exercised is said; without a namespace it says so, too. As root: all of it, and a scratch space that is too small is found out before. Prints TAP. BKD_BIN is
# the directory of bkd and bkd-restore.
. "$(dirname "$0")/lib.sh"

host h "{allow_single_recipient: false}"
scratch=$tree/scratch
mkdir "$scratch"
inside=${source#/}
policy() { # LINE…: below verify
    { printf 'sources: [%s]\nrepository: %s\nverify:\n  scratch: %s\n' "$source" "$repo" "$scratch"
      printf '  %s\n' "$@"; } >"$config/policies/p.yaml"
}
fits() { if eval "$2"; then ok "$1"; else bad "$1"; fi; } # TITLE TEST
skip() { echo "ok $((number += 1)) - $1 # SKIP $2"; }
finish_early() { skip "verify as an ordinary user" "$1"; finish; }

seq 1 1000 >"$source/plain"
policy
run_bkd init p >/dev/null 2>&1
[ "$(id -u)" = 0 ] || { is 0 "a snapshot" backup; is 0 "proven" run_bkd verify p --json; says "it says whether in a namespace" '"user_namespace":(true|false)'; finish_early "needs root to make files of others"; }

# ---- files that only root can make
echo secret >"$source/roots" && chmod 600 "$source/roots"
mkdir -m 700 "$source/theirs" && echo theirs >"$source/theirs/x" && chown -R 33:33 "$source/theirs"
cp /bin/true "$source/capable" && setcap cap_net_raw+ep "$source/capable"
echo suid >"$source/suid" && chown 65534:65534 "$source/suid" && chmod 4755 "$source/suid"
echo far >"$source/far" && chown 3000000000:3000000000 "$source/far"
setfacl -m u:1:r "$source/plain"
mkfifo "$source/fifo"
mknod "$source/device" c 1 3 || finish_early "no devices can be made here"
pg_bin=
for dir in /usr/lib/postgresql/*/bin; do [ ! -x "$dir/pg_ctl" ] || pg_bin=$dir; done
if [ -n "$pg_bin" ]; then
    chmod 711 "$tree" "$tree/h" && chmod 755 "$source"
    mkdir "$source/pg" && chown postgres "$source/pg"
    runuser -u postgres -- env -C / "$pg_bin/initdb" -D "$source/pg/data" -A trust --no-sync >/dev/null
fi
is 0 "a snapshot" backup
is 0 "as root everything is proven" run_bkd verify p --json
says "and exercised" '"not_exercised":{"metadata":0,"owners":0,"sockets":0,"special":0},"user_namespace":false'

small=$tree/small
mkdir "$small"
if mount -t tmpfs -o size=256k tmpfs "$small" 2>/dev/null; then
    trap 'umount "$small" 2>/dev/null; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT
    head -c 500000 /dev/urandom >"$source/large"
    backup >"$tree/out" 2>&1
    sed -i "s#scratch: .*#scratch: $small#" "$config/policies/p.yaml"
    is 7 "a scratch space that is too small is no proof of damage" run_bkd verify p --json
    says "it is said how much is needed" 'the restore needs .* has .* free, beside .* own list of files; nothing was written'
    fits "nothing was written there" '[ -z "$(ls "$small")" ]'
    umount "$small"
else skip "a scratch space that is too small" "no tmpfs can be mounted"; fi

# ---- as an ordinary user: 54323 has a range of numbers in files of a mount namespace
policy "checks:" "  - {type: file, file: $inside/roots, pattern: secret}" "  - {type: command, run: [sh, -c, \"cat $inside/theirs/x && stat -c '%u:%g %a' $inside/suid\"]}" \
    "  - {type: command, name: owner, run: [sh, -c, \"[ \$(stat -c %u $inside/suid) = 65534 ] && getcap $inside/capable | grep -q net_raw && getfacl -n $inside/plain | grep -q user:1:r\"]}"
[ -z "$pg_bin" ] || echo "    - {type: postgres, directory: $inside/pg/data, query: \"select 6*7\", expect: \"42\"}" >>"$config/policies/p.yaml"
{ cat /etc/passwd; echo "bkdtest:x:54323:54323::$tree/home:/bin/sh"; } >"$tree/passwd"
{ cat /etc/group; echo "bkdtest:x:54323:"; } >"$tree/group"
echo "bkdtest:1700000000:65536" >"$tree/subid"
: >"$tree/empty"
chmod 755 "$tree" "$tree/h" "$config"
chown -R 54323:54323 "$config" "$state" "$repo" "$scratch" "$tree/home"
chown root "$config/keys/allowed_signers"
chmod 644 "$config/keys/allowed_signers"
cat >"$tree/as-user" <<END
mount --bind $tree/passwd /etc/passwd && mount --bind $tree/group /etc/group && for f in subuid subgid; do [ -e /etc/\$f ] || : >/etc/\$f; mount --bind "\$1" /etc/\$f || exit 99; done
shift
exec setpriv --reuid 54323 --regid 54323 --clear-groups env HOME=$tree/home "\$@"
END
as_user() { unshare -m sh "$tree/as-user" "$@"; } # RANGES COMMAND…
verify() { as_user "$tree/subid" "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" verify p --json "$@"; }
as_user "$tree/subid" true >"$tree/out" 2>&1 || finish_early "no mount namespace"
as_user "$tree/subid" "$BKD_BIN/bkd" --version >"$tree/out" 2>&1 || finish_early "other users cannot reach the programs"

is 4 "without a range files have no owners, and checks that need them fail" as_user "$tree/empty" "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" verify p --json
says "it says what was not exercised" '"owners":[1-9][0-9]*,"sockets":0,"special":1},"user_namespace":false'
if ! as_user "$tree/subid" unshare -U true 2>/dev/null || ! command -v newuidmap >/dev/null; then finish_early "no user namespaces, or no newuidmap"; fi
is 0 "in a user namespace it is proven, with all checks" verify
says "only what nobody but root can do is left" '"not_exercised":{"metadata":0,"owners":1,"sockets":0,"special":1},"user_namespace":true'
says "and is named" 'device: only root may make devices'
fits "nothing stays behind" '[ -z "$(ls -A "$scratch")" ]'
as_user "$tree/subid" "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" verify p >"$tree/out" 2>&1
says "people are told" "not exercised: 1 entries belong to others than their owners, whose numbers this user's range"
is 0 "a sample, too" verify --sample 3

mkdir -p "$config/plans"
cat >"$config/plans/all.yaml" <<EOF
systems: [{name: all, policy: p}]
steps:
  - {id: restore, type: restore, system: all}
  - {id: check, type: check, system: all, after: restore}
  - {id: look, type: command, system: all, after: restore, rehearse: true, command: [sh, -c, "cat \$BKD_TREE/$inside/theirs/x; stat -c '%u %a' \$BKD_TREE/$inside/suid"]}
EOF
chown -R 54323 "$config/plans"
is 0 "so does the rehearsal of a plan" as_user "$tree/subid" "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" plan run all --rehearse --json
says "with the policy's checks" '"step":"check","state":"done"'
says "and the plan's commands" '"step":"look","state":"done".*"message":"65534 4755"'
fits "which leaves nothing either" '[ -z "$(ls -A "$scratch")" ]'

policy "checks: [{type: command, run: [sleep, '31.4']}]"
chown 54323 "$config/policies/p.yaml"
unshare -m sh "$tree/as-user" "$tree/subid" "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" verify p >/dev/null 2>&1 &
pid=$!
for _ in $(seq 100); do ! pgrep -f '^sleep 31[.]4' >/dev/null || break; sleep 0.1; done
kill -9 $pid
wait $pid 2>/dev/null
fits "a killed one leaves files that the user could not remove" '[ "$(find "$scratch" -uid 1700000033 | wc -l)" = 2 ]'
policy
chown 54323 "$config/policies/p.yaml"
for _ in $(seq 50); do ! pgrep -f '^sleep 31[.]4' >/dev/null || sleep 0.1; done
fits "what ran there has ended" '! pgrep -f "^sleep 31[.]4" >/dev/null'
is 0 "the next one" verify
fits "removes them" '[ -z "$(ls -A "$scratch")" ]'
finish
