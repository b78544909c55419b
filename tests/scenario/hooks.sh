#!/bin/sh
# Hooks around a run: their order, what they are told, what becomes of a run when they fail, hang, flood or are interrupted; and who may write them. Prints TAP.
. "$(dirname "$0")/lib.sh"

# A host whose hooks write down, in $seen, that they ran and what they were told; $before, $after and $on_failure are more commands.
seen=$tree/seen
note='env | sort >"$0-$BKD_PHASE"; echo $BKD_PHASE >>"$0"'
hooked() { # NAME BEFORE AFTER
    host "$1" none "hooks:" "  before:" "    - [sh, -c, '$note', $seen]" ${2:+"    - $2"} "  after:" "    - [sh, -c, '$note', $seen]" ${3:+"    - $3"} \
        "  on_failure: [sh, -c, '$note', $seen]"
    echo content >"$source/file"
    run_bkd init p >/dev/null 2>&1
    rm -f "$seen"*
}
ran() { [ "$(tr '\n' ' ' <"$seen" 2>/dev/null)" = "$1" ]; }
check() { # TITLE COMMAND…
    title=$1
    shift
    if "$@"; then ok "$title"; else bad "$title"; fi
}
told() { grep -qx -- "$2" "$seen-$1"; }
gone() { for try in 1 2 3 4 5 6 7 8 9 10; do alive "$1" || return 0; sleep 0.2; done; return 1; }
await() { for try in $(seq 100); do [ -s "$1" ] && return 0; sleep 0.1; done; return 1; }
mode_of() { stat -c %a "$1"; }

# ---- a good run
hooked 'h;$(touch pwned)' "" ""
BKD_CANARY=secret; export BKD_CANARY
is 0 "a run with hooks" backup --tag change-1
check "before, then after" ran "before after "
check "the first is told the policy" told before BKD_POLICY=p
check "and a path with characters a shell would obey, as it is" told before "BKD_REPOSITORY=$repo"
check "no shell obeyed it" test ! -e pwned
check "the tag" told before BKD_TAG=change-1
check "the last is told the result" told after BKD_RESULT=ok
check "the exit code" told after BKD_EXIT_CODE=0
check "the snapshot" told after BKD_SNAPSHOT=1
check "the number of files" told after BKD_FILES=1
if grep -q CANARY "$seen-before"; then bad "nothing of our environment leaks"; else ok "nothing of our environment leaks"; fi
log=$state/policies/p/hooks.log
check "the record of the run is private" test "$(mode_of "$log")" = 600
check "and tells of both" test "$(grep -c 'exited with status 0' "$log")" = 2
rm -f "$seen"*
is 0 "a dry run" run_bkd backup p --dry-run
says "says that it runs no hooks" 'dry run runs no hooks'
check "and runs none" test ! -e "$seen"

# ---- one that fails
hooked f '{command: [sh, -c, "echo no database; exit 5"], name: dump}' ""
is 1 "a command before the run fails: so does the run" backup
says "it is named, with what it said" 'hook before dump exited with status 5: no database'
says "one line of JSON a hook" '"type":"hook".*"phase":"before","name":"dump","program":"sh","ok":false,"end":"exited","exit":5.*"output":"no database\\n"'
check "nothing was backed up" test "$(snapshots)" = 0
check "those for failures ran, then the last" ran "before on_failure after "
check "the last is told of it" told after BKD_RESULT=failed
check "with its exit code" told on_failure BKD_EXIT_CODE=1
check "and the reason" grep -q 'BKD_ERROR=.*dump exited with status 5' "$seen-on_failure"
hooked a "" '[sh, -c, "exit 1"]'
is 3 "a command after the run fails: done but incomplete" backup
says "the summary says so" '"type":"summary".*"complete":false'
check "the snapshot is there" test "$(snapshots)" = 1
hooked m '[no-such-program, x]' ""
is 1 "a program that is not there" backup
says "is named" "there is no program 'no-such-program'"
hooked r "" ""
mv "$repo" "$repo.away"
is 1 "the repository is away" backup
check "those for failures ran" ran "before on_failure after "
mv "$repo.away" "$repo"
rm -f "$seen"*
mv "$config/keys/signing" "$config/keys/away"
is 9 "the key is away" backup
check "the run did not begin: only those for failures" ran "on_failure "

# ---- one that hangs, floods, writes for a terminal
hooked t "{command: [sh, -c, 'sleep 1000 & echo \$! >$tree/pid; exec sleep 1000'], timeout: 1s}" ""
is 1 "a command that hangs" backup
says "is killed after its timeout" 'did not end within its timeout'
check "with all it started" gone "$(cat "$tree/pid")"
hooked o '[sh, -c, "head -c 200000000 /dev/zero; echo; echo the end"]' ""
is 0 "a command that writes 200 MB" backup
says "its number of bytes is recorded" '"output_bytes":200000009,"truncated":true'
check "64 KiB of it are kept" test "$(wc -c <"$state/policies/p/hooks.log")" -lt 300000
check "the last ones" grep -q 'the end' "$state/policies/p/hooks.log"
hooked e '[printf, "\\033]0;x\\007\\xe2\\x80\\xae\\n"]' ""
run_bkd backup p >"$tree/out" 2>&1
says "control characters are escaped on the way to the terminal" 'hook before printf: \\x1b]0;x\\x07\\xe2\\x80\\xae'

# ---- interrupted
hooked i "[sh, -c, 'echo \$\$ >$tree/pid; sleep 1000; true']" ""
rm -f "$tree/pid"
"$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p --json >"$tree/said" 2>&1 &
run=$!
await "$tree/pid"
got=0
is 6 "a second run meanwhile is refused" backup
check "and runs no hooks" ran "before "
kill -TERM $run
wait $run || got=$?
check "SIGTERM during a hook ends the run" test $got = 1
check "and what the hook started" gone "$(cat "$tree/pid")"
check "the rest is run" ran "before on_failure after "
check "and told of it" told after BKD_RESULT=interrupted
hooked k "[sh, -c, 'sleep 1000 & echo \$! >$tree/pid; sleep 1000; true']" ""
rm -f "$tree/pid"
"$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p >"$tree/said" 2>&1 &
run=$!
await "$tree/pid"
kill -KILL $run
wait $run 2>/dev/null
check "SIGKILL during a hook: what the hook started ends too" gone "$(cat "$tree/pid")"
hooked b "" ""
head -c 200000000 /dev/urandom >"$source/big"
"$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p --json >"$tree/said" 2>&1 &
run=$!
for try in $(seq 200); do [ -n "$(find "$repo" -size +1M)" ] && break; sleep 0.05; done
got=0
kill -INT $run
wait $run || got=$?
if [ "$got" = 0 ]; then ok "SIGINT during a backup # SKIP it was done before"; else
    check "SIGINT during a backup ends it" test $got = 1
    cp "$tree/said" "$tree/out"
    says "and says so" 'interrupted; there is no new snapshot'
    check "those behind are run" ran "before on_failure after "
    check "nothing was committed" test "$(snapshots)" = 0
    is 0 "the next run" backup
    says "goes on from there" '"resumed":true'
    check "it restores" restore latest
    check "the same" cmp -s "$source/big" "$tree/restored$source/big"
fi

# ---- the repository is there only while the run lasts
if [ "$(id -u)" = 0 ] && mkdir "$tree/disk" "$tree/disk/in" && mount --bind "$tree/disk/in" "$tree/disk/in" 2>/dev/null; then
    umount "$tree/disk/in"
    hooked u "" ""
    mkdir "$tree/u/mnt"
    printf 'sources: [%s]\nrepository: %s/repository\nencryption: none\nhooks: {before: [mount, --bind, %s, %s], after: [umount, %s]}\n' \
        "$source" "$tree/u/mnt" "$tree/disk" "$tree/u/mnt" "$tree/u/mnt" >"$config/policies/p.yaml"
    mount --bind "$tree/disk" "$tree/u/mnt" && run_bkd init p >/dev/null 2>&1 && umount "$tree/u/mnt"
    is 0 "hooks mount the disk of the repository, and unmount it" backup --hold
    check "it is unmounted" test ! -e "$tree/u/mnt/repository"
    check "and has the snapshot" test -n "$(find "$tree/disk/repository" -type f -size +0)"
else
    ok "hooks that mount # SKIP mounting is not possible here"
fi

# ---- who may write them
hooked w "" ""
chmod g+w "$config/policies/p.yaml"
is 2 "a policy that others can write to may not name commands" backup
says "the remedy is named" 'chmod go-w .*p.yaml'
is 2 "its check says so too" run_bkd policy check "$config/policies/p.yaml"
chmod g-w "$config/policies/p.yaml"
chmod o+w "$config/policies"
is 2 "nor in a directory that others can write to" backup
check "no hook ran" test ! -e "$seen"
chmod o-w "$config/policies"
is 0 "corrected" backup
finish
