#!/bin/sh
# Commands as sources: what they write is a file of the snapshot, compared with what they wrote; a command that does not end well makes no snapshot and
# leaves no process. Prints TAP. BKD_BIN is the directory of bkd and bkd-restore; BKD_SOURCE that of the sources.
. "$(dirname "$0")/lib.sh"
recover_sh=${BKD_SOURCE:-$(dirname "$0")/../..}/scripts/recover.sh

# with STREAM-LINE…: the policy has these streams beside its source.
with() {
    { printf 'sources:\n  - path: %s\n' "$source"
      [ $# = 0 ] || printf '  - stream: %s\n' "$@"
      printf 'repository: %s\nencryption: {recipients: recipients.txt}\n' "$repo"; } >"$config/policies/p.yaml"
}
same() { if cmp "$2" "$3" >"$tree/out" 2>&1; then ok "$1"; else bad "$1"; fi; } # TITLE FILE FILE
stored_less() { # TITLE BYTES: of the last backup
    stored=$(field bytes_stored)
    if [ "${stored:-$2}" -lt "$2" ]; then ok "$1 ($stored bytes)"; else bad "$1 ($stored bytes)"; fi
}
gone() { # TITLE PATTERN: no such process is left, after a moment
    tries=0
    while pgrep -f "$2" >"$tree/out" && [ $tries -lt 30 ]; do sleep 0.1; tries=$((tries + 1)); done
    if [ $tries -lt 30 ]; then ok "$1"; else bad "$1"; fi
}
recovered() { # SNAPSHOT: into $tree/recovered
    rm -rf "$tree/recovered"
    BKD_SIGNERS=$config/keys/allowed_signers sh "$recover_sh" "$repo" "$config/keys/operations.txt" "$1" "$tree/recovered"
}

host streams '{recipients: recipients.txt}'
echo file >"$source/file"
data=$tree/data
mkdir "$data"
head -c 40000000 /dev/urandom >"$data/big"
head -c 300000 /dev/urandom >"$data/small"
: >"$data/nothing"

# --- content -----------------------------------------------------------------------------------------------------------------
with "{name: big.bin, command: [cat, $data/big]}" "{name: small.bin, command: [cat, $data/small]}" "{name: empty, command: ['true']}" \
    "{name: \"a b%\", command: [sh, -c, 'echo \$BKD_POLICY \$BKD_STREAM; env | cut -d= -f1 | sort | tr \"\\\\n\" \" \"; echo; pwd; readlink /proc/self/fd/0; ls /proc/self/fd | wc -l'], env: [EXTRA=1]}"
is 0 "init" run_bkd init p
is 0 "policy check" run_bkd policy check "$config/policies/p.yaml"
is 0 "a dry run" backup --dry-run
is 0 "a dry run for people" run_bkd backup p --dry-run
says "says that it does not run the commands" "stream 'big.bin': a dry run does not run its command"
is 0 "a backup of a file and four streams" backup
[ "$(field files)" = 5 ] && ok "five files" || bad "five files"
[ "$(field streams)" = 4 ] && ok "four streams" || bad "four streams"
is 0 "restore" restore latest
same "the big stream is what was written" "$data/big" "$tree/restored/stream/big.bin"
same "the small one too" "$data/small" "$tree/restored/stream/small.bin"
same "and the empty one" "$data/nothing" "$tree/restored/stream/empty"
[ "$(stat -c '%a %u %g' "$tree/restored/stream/big.bin")" = "600 $(id -u) $(id -g)" ] && ok "mode and owner" || bad "mode and owner"
cp "$tree/restored/stream/a b%" "$tree/out"
says "the command knows what it is for" '^p a b%$'
says "its environment is clean" '^BKD_HOST BKD_POLICY BKD_STREAM EXTRA (HOME )?LANG (LOGNAME )?PATH (PWD |SHELL |SHLVL |USER |_ )*$'
says "it starts in the root directory" '^/$'
says "with nothing to read" '^/dev/null$'
says "and no descriptors of ours" '^4$' # standard ones, and that of the directory it lists
complete=0 # whoever is not root cannot give the directories above the source their owners
[ "$(id -u)" = 0 ] || complete=3
is $complete "recover.sh" recovered latest
if diff -r "$tree/restored/stream" "$tree/recovered/stream" >"$tree/out"; then ok "gives the same streams"; else bad "gives the same streams"; fi
recover dump latest stream/big.bin >"$tree/dumped" 2>"$tree/out"
same "dump writes one out" "$data/big" "$tree/dumped"
recover dump latest stream/ 2>"$tree/out" | tar -t >"$tree/out" 2>&1
[ "$(grep -c ^stream/ "$tree/out")" = 4 ] && ok "and all of them as a tar stream" || bad "and all of them as a tar stream"

# --- the next nights -----------------------------------------------------------------------------------------------------------
is 0 "the same again" backup
stored_less "stores next to nothing" 5000
[ "$(field changed_files)" = 0 ] && ok "nothing changed" || bad "nothing changed"
{ head -c 20000000 "$data/big"; echo "some bytes more"; tail -c +20000001 "$data/big"; } >"$data/new"
mv "$data/new" "$data/big"
is 0 "a few bytes inserted" backup
stored_less "are stored as a few blocks" 100000
is 0 "restore" restore latest stream/big.bin
same "and come back" "$data/big" "$tree/restored/stream/big.bin"
[ "$(cd "$tree/restored" && find . -type f | wc -l)" = 1 ] && ok "a stream named by its path comes alone" || bad "a stream named by its path comes alone"

# --- what reads manifests --------------------------------------------------------------------------------------------------------
is 0 "bkd ls" run_bkd ls p latest
says "lists the streams" '^-rw------- .* stream/big.bin$'
is 0 "bkd ls of one" run_bkd ls p latest stream/big.bin
is 0 "bkd ls of their directory" run_bkd ls p latest stream/
[ "$(wc -l <"$tree/out")" = 4 ] && ok "lists four" || bad "lists four"
is 0 "bkd diff" run_bkd diff p 2 3 -i "$config/keys/operations.txt"
says "shows which one changed" '^M f stream/big.bin '
is 0 "bkd status" run_bkd status
is 0 "bkd ls-source" run_bkd ls-source p
says "names them, of no size" '^f +- stream/big.bin$'
is 0 "policy show" run_bkd policy show p
says "shows them" 'name: "big.bin"'
is 0 "bkd-restore ls" recover ls latest stream/
[ "$(wc -l <"$tree/out")" = 4 ] && ok "lists four as well" || bad "lists four as well"
is 0 "mtree" recover mtree latest
says "has them" '^./stream/big.bin type=file .* size=40000016'
is 0 "check --read-data" run_bkd check p --read-data -i "$config/keys/operations.txt"
is 0 "bkd-restore check --read-data" recover check --read-data

# --- failures --------------------------------------------------------------------------------------------------------------------
listed=$(snapshots)
fails() { # TITLE STREAM PATTERN
    with "$2"
    is 1 "$1" backup
    says "it says so" "$3"
    if [ "$(snapshots)" = "$listed" ]; then ok "there is no snapshot of it"; else bad "there is no snapshot of it"; fi
}
fails "a command that fails" "{name: x, command: [sh, -c, 'echo some; echo why >&2; exit 7']}" "stream 'x': 'sh' exited with status 7; no snapshot .* it said: why"
fails "it fails after a lot of output" "{name: x, command: [sh, -c, 'cat $data/big; exit 1']}" 'exited with status 1'
fails "one that is killed" "{name: x, command: [sh, -c, 'echo some; kill -KILL \$\$']}" 'signal 9'
fails "one that is not there" '{name: x, command: [/nonexistent/dump]}' "stream 'x'.*/nonexistent/dump"
fails "one that may not be executed" "{name: x, command: [$data/small]}" "stream 'x'.*small"
fails "one that takes too long" "{name: x, command: [sh, -c, 'echo some; sleep 4711 & sleep 4712'], timeout: 1s}" 'timeout'
gone "what it started is gone too" 'sleep 471[12]'
fails "one that leaves its output to another" "{name: x, command: [sh, -c, 'sleep 4713 & echo some']}" 'may lack its end'
gone "which is gone as well" 'sleep 4713'
fails "one that writes control characters" "{name: x, command: [sh, -c, 'printf \"\\\\033[31mred\\\\n\" >&2; exit 1']}" 'exited with status 1'
escape=$(printf '\033')
says_not "they do not reach the terminal" "$escape"
with "{name: first, command: [echo, fine]}" "{name: second, command: ['false']}"
is 1 "the second of two fails" backup
says "it says which" "stream 'second'"
with "{name: second, command: [sh, -c, 'echo careful >&2; echo fine']}"
is 0 "then it works" backup
says "what it says is shown" "stream 'second' says: careful"
[ "$(snapshots)" = $((listed + 1)) ] && ok "and there is one snapshot more" || bad "and there is one snapshot more"

# --- whose command, whose rights ---------------------------------------------------------------------------------------------------
with "{name: x, command: [id, -un], user: nobody}"
if [ "$(id -u)" = 0 ]; then
    is 0 "as another user" backup
    recover dump latest stream/x >"$tree/out" 2>"$tree/err"
    says "it has that user's rights" '^nobody$'
    with "{name: x, command: [id, -un], user: nosuchuser}"
    is 1 "as one who does not exist" backup
    says "it says so" "stream 'x'.*nosuchuser"
else
    is 1 "as another user, which takes root" backup
    says "it says so" "stream 'x'.*nobody"
fi
with "{name: x, command: [echo, fine]}"
chmod 666 "$config/policies/p.yaml"
is 2 "commands from a file that everybody can write" backup
chmod 644 "$config/policies/p.yaml"

# --- interrupted -----------------------------------------------------------------------------------------------------------------
with "{name: x, command: [sh, -c, 'sleep 4714 & echo \$! >$tree/pid; wait']}"
(exec "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p) >"$tree/out" 2>&1 </dev/null &
child=$!
tries=0
while [ ! -s "$tree/pid" ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -TERM $child
wait $child 2>/dev/null && bad "a run that is ended" || ok "a run that is ended"
gone "ends its command with all it started" 'sleep 4714'
with
is 0 "streams taken out of the policy" backup
[ "$(field gone_files)" = 1 ] && ok "are gone" || bad "are gone"

# --- where they would be in the way ------------------------------------------------------------------------------------------------
host clash none
mkdir "$source/stream"
echo file >"$source/stream/x"
{ printf 'sources:\n  - %s\n  - stream: {name: x, command: [echo, stream]}\nrepository: %s\nencryption: none\n' "$source" "$repo"; } >"$config/policies/p.yaml"
run_bkd init p >"$tree/out" 2>&1
is 0 "a source that has a directory 'stream'" backup
strip=$(printf %s "$source" | tr -cd / | wc -c)
is 0 "restored in its place, they do not meet" restore latest
is 2 "stripped of what is before, they would" restore latest --strip-components "$strip"
says "it says which, and the way on" "clash/source/stream' would stand .*name PATHs"
[ -e "$tree/restored" ] && bad "nothing was made" || ok "nothing was made"
is 0 "one without the other" restore latest --strip-components "$strip" "$source"
is 0 "streams without the rest" restore latest --strip-components "$strip" stream/
is 0 "as a mirror the streams stay" restore latest stream/x
printf 'sources:\n  - stream: {name: only, command: [echo, stream]}\nrepository: %s\nencryption: none\n' "$repo" >"$config/policies/p.yaml"
is 0 "a policy of streams only" backup --accept-source-change
is 0 "once more" backup
is 0 "restored" restore latest
[ "$(cat "$tree/restored/stream/only")" = stream ] && ok "as it was" || bad "as it was"
is 0 "recover.sh" recovered latest
finish
