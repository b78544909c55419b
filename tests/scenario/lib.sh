# Shared by scenarios (not one itself): TAP, a host in a directory, comparison by tools that are not bkd's. Source it with BKD_BIN set.
set -u
export LC_ALL=C
: "${BKD_BIN:?is the directory of bkd and bkd-restore}"
tree=$(mktemp -d)
trap 'chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT
trap 'exit 130' INT TERM
unset BKD_CONFIG_DIR BKD_STATE_DIR BKD_SIGNERS
export HOME="$tree/home"
mkdir "$HOME"
number=0
failed=0
ok() { number=$((number + 1)); echo "ok $number - $1"; }
bad() { # TITLE; what was said last stands in $tree/out
    number=$((number + 1))
    failed=1
    echo "not ok $number - $1"
    tail -n 15 "$tree/out" 2>/dev/null | sed 's/^/# /'
}
# is STATUS TITLE COMMAND…: the command ends with that status.
is() {
    want=$1 title=$2
    shift 2
    got=0
    "$@" >"$tree/out" 2>&1 </dev/null || got=$?
    if [ "$got" = "$want" ]; then ok "$title"; else echo "# exit $got, wanted $want"; bad "$title"; fi
}
# says TITLE PATTERN: what the last command said matches.
says() { if grep -Eq -- "$2" "$tree/out"; then ok "$1"; else bad "$1"; fi; }
says_not() { if grep -Eq -- "$2" "$tree/out"; then bad "$1"; else ok "$1"; fi; }
finish() { echo "1..$number"; exit $failed; }

# shifted WHEN COMMAND…: under another clock (+30h, @2038-01-19 03:14:10). By faketime's library alone: its program fails where one that was killed has left a
# semaphore of the same number.
faketime_library=$(find /usr/lib -name libfaketime.so.1 2>/dev/null | head -n 1)
shifted() {
    clock=$1
    shift
    LD_PRELOAD=$faketime_library FAKETIME=$clock "$@"
}

# A process that goes on; one that ended and waits for whoever collects it does not.
alive() { case $(ps -o stat= -p "$1" 2>/dev/null) in '' | Z*) return 1 ;; esac; }

# Seeded: "draw MAX" sets $drawn to 0 … MAX-1.
seed=${BKD_SEED:-1}
draw() { seed=$(((seed * 1103515245 + 12345) % 2147483648)); drawn=$(((seed / 65536) % $1)); }

# host NAME ENCRYPTION [POLICY-LINE…]: configuration, keys, state and repository below $tree/NAME; the source is $source. Selects it.
host() {
    home=$tree/$1 source=$tree/$1/source repo=$tree/$1/repository state=$tree/$1/state config=$tree/$1/config
    mkdir -p "$config/policies" "$source"
    { printf 'description: scenario\nsources:\n  - path: %s\nrepository: %s\nencryption: %s\n' "$source" "$repo" "$2"
      shift 2
      [ $# = 0 ] || printf '%s\n' "$@"; } >"$config/policies/p.yaml"
    run_bkd keys init >"$tree/out" 2>&1
}
run_bkd() { "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" "$@"; }
backup() { run_bkd backup p --json "$@"; }
recover() { "$BKD_BIN/bkd-restore" -r "$repo" -i "$config/keys/operations.txt" -s "$config/keys/allowed_signers" "$@"; }
# Snapshot N into $tree/restored, emptied before.
restore() {
    number_wanted=$1
    shift
    chmod -R u+rwx "$tree/restored" 2>/dev/null
    rm -rf "$tree/restored"
    recover restore "$number_wanted" --target "$tree/restored" -q "$@"
}
snapshots() { run_bkd snapshots p --json 2>"$tree/err" | grep -c '"type":"snapshot"'; } # how many are listed
field() { sed -n "s/.*\"type\":\"summary\".*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p" "$tree/out" | tail -n 1; } # of the last summary line

# A tree as text: types, modes, owners, times, sizes, targets, link counts, content.
listing() {
    (cd "$1" && find . -type d -printf '%p d %m %U %G %T@\n' -o -type l -printf '%p l %U %G %T@ %l\n' -o -type f -printf '%p f %m %U %G %T@ %s %n\n' \
        -o -printf '%p %y %m %U %G %T@\n' | sort && find . -type f -print0 | sort -z | xargs -0 -r sha256sum)
}
