#!/bin/sh
# The bad day with nothing but the printed recovery sheet: identity, signers and steps are typed off it, and the tree comes back,
# by bkd-restore and by recover.sh. And what bkd keys init and sheet say when something is missing. Prints TAP.
set -eu
LC_ALL=C; export LC_ALL
bkd=$BKD_BIN/bkd
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
export HOME="$tree/home" BKD_CONFIG_DIR="$tree/c" BKD_STATE_DIR="$tree/s"
mkdir -p "$tree/home" "$tree/c/policies" "$tree/src dir/sub" "$tree/desk"
number=0
failed=0

report() { # OK-OR-NOT TITLE
    number=$((number + 1))
    if [ "$1" = ok ]; then echo "ok $number - $2"; return; fi
    echo "not ok $number - $2"
    head -n 20 "$tree/out" "$tree/err" | sed 's/^/# /'
    failed=1
}
expect() { # TITLE EXIT-CODE COMMAND…; leaves its output in $tree/out and $tree/err
    title=$1 wanted=$2 code=0
    shift 2
    "$@" >"$tree/out" 2>"$tree/err" </dev/null || code=$?
    if [ "$code" = "$wanted" ]; then report ok "$title"; else report bad "$title (exit $code instead of $wanted)"; fi
}
has() { # TITLE FILE TEXT
    if grep -qF -- "$3" "$tree/$2"; then report ok "$1"; else report bad "$1: '$3' is not in $2"; fi
}

cat >"$tree/c/policies/erp.yaml" <<END
sources:
  - path: $tree/src dir
repository: $tree/my repo
encryption: {recipients: recipients.txt}
END
seq 1 20000 >"$tree/src dir/numbers"
echo 中文 >"$tree/src dir/sub/文件"

expect "no keys yet: sheet" 9 "$bkd" keys sheet
expect "no keys yet: init" 9 "$bkd" init erp
has "says how keys are made" err "bkd keys init"
expect "keys init" 0 "$bkd" keys init --identities-to "$tree/stick"
has "names the recovery identity's place" out "$tree/stick/recovery.txt"
expect "keys init again" 1 "$bkd" keys init
has "never overwritten" err "never overwritten"
if grep -rq AGE-SECRET-KEY "$tree/c"; then report bad "no identity in the configuration"; else report ok "no identity in the configuration"; fi
expect "init" 0 "$bkd" init erp
expect "sheet before the first backup" 0 "$bkd" keys sheet -i "$tree/stick/recovery.txt" erp
has "no snapshot yet" out "none yet"
expect "backup" 0 "$bkd" backup erp
expect "the identity is elsewhere" 9 "$bkd" keys sheet erp
has "says how to name it" err "-i FILE"
expect "sheet" 0 "$bkd" keys sheet erp -i "$tree/stick/recovery.txt"
cp "$tree/out" "$tree/desk/sheet"
expect "sheet --json" 0 "$bkd" keys sheet erp -i "$tree/stick/recovery.txt" --json
has "snapshot in JSON" out '"snapshot":1,'
if grep -q SECRET "$tree/out"; then report bad "no identity in JSON"; else report ok "no identity in JSON"; fi
chmod 644 "$tree/stick/recovery.txt"
expect "an identity that others can read" 9 "$bkd" keys sheet erp -i "$tree/stick/recovery.txt"
has "says what to do" err "chmod 600"

# Everything but the repository and the paper burns.
mv "$tree/src dir" "$tree/original"
rm -rf "$tree/c" "$tree/s" "$tree/stick"
cd "$tree/desk"
(umask 077 && sed -n 's/^ *\(AGE-SECRET-KEY-1[A-Z0-9]*\)$/\1/p' sheet >IDENTITY.txt)
sed -n '/^2\. /,/^$/p' sheet | sed 1d | awk 'NF { sub(/^ */, ""); printf "%s%s", $0, NR % 2 ? " " : "\n" }' >allowed_signers
expect "typed off: one identity, two signers" 0 sh -c 'test "$(wc -l <IDENTITY.txt) $(wc -l <allowed_signers)" = "1 2"'
{
    sed -n 's/^ *R=/R=/p' sheet
    sed -n '/^4\. /,/^$/s/^ *bkd-restore/bkd-restore/p' sheet
} | sed "s| DIR\$| '$tree/back'|; s|^bkd-restore|'$BKD_BIN/bkd-restore'|" >steps.sh
expect "the sheet's steps with bkd-restore" 0 sh -eu steps.sh
expect "the tree is back" 0 diff -r "$tree/original" "$tree/back$tree/src dir"

if command -v age >/dev/null && command -v rdiff >/dev/null && command -v ssh-keygen >/dev/null && [ "$(id -u)" = 0 ]; then
    sum=$(sha256sum "$tree/my repo/recover.sh" | cut -c 1-64)
    has "recover.sh is the one on the sheet" desk/sheet "recover.sh   sha256 $sum"
    sed -n 's/^ *R=/R=/p; s/^ *\(BKD_SIGNERS=.*\) DIR$/\1/p' sheet | sed "\$s|\$| '$tree/hand'|" >hand.sh
    expect "the sheet's steps by hand" 0 sh -eu hand.sh
    expect "the tree is back by hand" 0 diff -r "$tree/original" "$tree/hand$tree/src dir"
fi
echo "1..$number"
exit $failed
