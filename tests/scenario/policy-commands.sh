#!/bin/sh
# bkd's commands that need no repository: exit codes, where things are looked for, what --json prints. Prints TAP.
set -eu
bkd=$BKD_BIN/bkd
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
export HOME="$tree/home"
unset BKD_CONFIG_DIR BKD_STATE_DIR XDG_CONFIG_HOME XDG_STATE_HOME || true
mkdir -p "$tree/c/policies" "$tree/home"
number=0
failed=0

report() { # OK-OR-NOT TITLE
    number=$((number + 1))
    if [ "$1" = ok ]; then echo "ok $number - $2"; return; fi
    echo "not ok $number - $2"
    sed 's/^/# /' "$tree/out" "$tree/err"
    failed=1
}
# expect TITLE EXIT-CODE COMMAND…; leaves its output in $tree/out and $tree/err.
expect() {
    title=$1 wanted=$2
    shift 2
    code=0
    "$@" >"$tree/out" 2>"$tree/err" </dev/null || code=$?
    if [ "$code" = "$wanted" ]; then report ok "$title"; else report bad "$title (exit $code instead of $wanted)"; fi
}
has() { # TITLE FILE TEXT
    if grep -qF -- "$3" "$tree/$2"; then report ok "$1"; else report bad "$1: '$3' is not in $2"; fi
}

cat >"$tree/c/policies/erp.yaml" <<'END'
description: "ERP \"files\" \\ 文件"
sources:
  - path: /srv/erp
    exclude: ["*.tmp", "/a\\ ", "!/k\"eep"]
  - /etc
repository: /var/backups/bkd/erp
delta: {max_chain: 7}
END

expect "--help" 0 "$bkd" --help
has "help lists the commands" out "policy check"
expect "help of a command" 0 "$bkd" help policy check
has "help shows the synopsis" out "Usage: bkd policy check [FILE|POLICY]..."
expect "--version" 0 "$bkd" --version
expect "no command" 2 "$bkd"
expect "unknown command" 2 "$bkd" polcy
has "the nearest command" err "did you mean 'policy'?"
expect "unknown option" 2 "$bkd" policy show erp --jsno
has "the nearest option" err "did you mean '--json'?"
expect "an error with --json" 2 "$bkd" --json policy show nix --config-dir "$tree/c"
has "is a line on standard output" out '{"type":"error","schema":1,"code":"usage","exit":2,"message":"there is no policy'
has "and a sentence on standard error" err "error: there is no policy 'nix'"

expect "a policy by name, option behind" 0 "$bkd" policy show erp --config-dir "$tree/c"
cp "$tree/out" "$tree/shown"
has "says where values come from" out "max_chain: 7                          # line 7"
has "and which are defaults" out "compression: 2                          # default"
expect "by environment" 0 env BKD_CONFIG_DIR="$tree/c" "$bkd" policy show erp
expect "by path" 0 "$bkd" policy show "$tree/c/policies/erp.yaml"
expect "by path with --json" 0 "$bkd" --json policy show "$tree/c/policies/erp.yaml"
has "values are typed" out '"delta":{"min_size":"auto","block_size":"auto","max_chain":7,"max_share":"100%"}'
expect "a name that is none" 2 "$bkd" policy show "../x y" --config-dir "$tree/c"

# What "policy show" prints is a policy with the same values.
mkdir "$tree/again"
cp "$tree/shown" "$tree/again/erp.yaml"
expect "the output is a policy" 0 "$bkd" policy show "$tree/again/erp.yaml"
sed 's/ *# .*//' "$tree/out" >"$tree/second"
sed 's/ *# .*//' "$tree/shown" >"$tree/first"
if cmp -s "$tree/first" "$tree/second"; then report ok "with the same values"; else report bad "with the same values"; fi

expect "check all policies" 0 "$bkd" policy check --config-dir "$tree/c"
expect "check a policy by its name" 0 "$bkd" policy check --config-dir "$tree/c" "$(basename "$(ls "$tree/c/policies/"*.yaml | head -n 1)" .yaml)"
has "each is named" out "policies/erp.yaml: ok"
printf 'sources: [/srv]\nrepository: backup\ncompresion: 3\n' >"$tree/c/policies/bad.yaml"
expect "check finds mistakes" 2 "$bkd" policy check --config-dir "$tree/c"
has "all of them, one" err "bad.yaml:2:13: error: 'repository' must be an absolute path"
has "and two" err "bad.yaml:3:1: error: unknown key 'compresion'; did you mean 'compression'?"
has "good files are still named" out "policies/erp.yaml: ok"
expect "check with --json" 2 "$bkd" policy check --json "$tree/c/policies/bad.yaml" "$tree/missing.yaml"
has "has places" out '"line":3,"column":1,"message":"unknown key '
has "has a summary" out '{"type":"summary","schema":1,"files":2,"files_with_mistakes":2,"mistakes":3}'
if grep -qv '^{"type":"[a-z_]*","schema":1,.*}$' "$tree/out"; then report bad "every line is an object"; else report ok "every line is an object"; fi
expect "a policy with mistakes is not used" 2 "$bkd" policy show bad --config-dir "$tree/c"
expect "no policies" 2 "$bkd" policy check --config-dir "$tree/nowhere"
expect "a full disk" 7 sh -c '"$0" policy show erp --json --config-dir "$1" >/dev/full' "$bkd" "$tree/c"

expect "bash completion" 0 "$bkd" completion bash
if command -v bash >/dev/null; then expect "is a bash script" 0 bash -n "$tree/out"; fi
expect "no such completion" 2 "$bkd" completion csh

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null && chmod -R a+rX "$tree" && setpriv --reuid=65534 --clear-groups test -x "$bkd" 2>/dev/null; then
    mkdir -p "$tree/home/.config/bkd/policies" "$tree/xdg/bkd/policies"
    cp "$tree/c/policies/erp.yaml" "$tree/home/.config/bkd/policies/mine.yaml"
    cp "$tree/c/policies/erp.yaml" "$tree/xdg/bkd/policies/other.yaml"
    chmod -R a+rX "$tree"
    expect "a user's own policies" 0 setpriv --reuid=65534 --clear-groups "$bkd" policy show mine
    expect "in XDG_CONFIG_HOME" 0 env XDG_CONFIG_HOME="$tree/xdg" setpriv --reuid=65534 --clear-groups "$bkd" policy show other
fi
echo "1..$number"
exit $failed
