#!/bin/sh
# Recovery by hand: backups of eight nights, each rebuilt by the repository's own recover.sh where bkd is not installed and only
# the tools it names can be found; compared with a copy of the tree of that night by rsync. Every stored delta passes rdiff patch,
# and every version put together from its flat ranges alone is the same. Then damage, wrong keys and hostile manifests. Prints TAP.
set -eu
LC_ALL=C; export LC_ALL
bkd=$BKD_BIN/bkd
root=$(cd "$(dirname "$0")/../.." && pwd)
[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP needs root: owners, devices and files of mode 0000 are compared"; exit 0; }
tree=$(mktemp -d)
trap 'chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT
export HOME="$tree/home"
number=0
failed=0
report() { # OK-OR-NOT TITLE [FILE with what went wrong]
    number=$((number + 1))
    if [ "$1" = ok ]; then echo "ok $number - $2"; return; fi
    echo "not ok $number - $2"
    [ $# -lt 3 ] || head -n 30 "$3" | sed 's/^/# /'
    failed=1
}
expect() { # TITLE EXIT-CODE COMMAND...; output in $tree/out
    title=$1 wanted=$2 code=0
    shift 2
    "$@" >"$tree/out" 2>&1 </dev/null || code=$?
    if [ "$code" = "$wanted" ]; then report ok "$title"; else report bad "$title (exit $code instead of $wanted)" "$tree/out"; fi
}
says() { if grep -q -- "$2" "$tree/out"; then report ok "$1"; else report bad "$1" "$tree/out"; fi; }

# --- a machine without bkd: only what recover.sh says it needs -------------------------------------------------------------
mkdir "$tree/tools" "$tree/home"
for tool in sh awk tar zstd age rdiff sha256sum ssh-keygen setfattr \
    cat chmod chown cp cut dd head id ln ls mkdir mkfifo mknod mktemp mv printf rm sort tac tail touch truncate; do
    ln -s "$(command -v $tool)" "$tree/tools/$tool"
done
recover() { # SNAPSHOT TARGET [VARIABLE=VALUE...]
    snapshot=$1 target=$2
    shift 2
    env -i PATH="$tree/tools" BKD_SIGNERS="$signers" "$@" sh "$repository/recover.sh" "$repository" "$identity" "$snapshot" "$target"
}
if env -i PATH="$tree/tools" sh -c 'command -v bkd || command -v bkd-restore || command -v perl'; then report bad "bkd is not there"; else report ok "bkd is not there"; fi

# --- eight nights ----------------------------------------------------------------------------------------------------------
src=$tree/src
make_tree() {
    mkdir -p "$src/big" "$src/small/deep/er" "$src/moves" "$src/odd"
    seq 1 3600000 >"$src/big/database"                           # 28 MB: two pieces
    seq -f 'log line %.0f' 1 1200000 >"$src/big/log"             # 23 MB
    seq 7000000 -1 4500000 >"$src/big/archive"                   # 20 MB
    seq 5 3 4000000 >"$src/moves/image"                          # 10 MB
    seq 1 20 >"$src/small/tail"; { head -c 16777216 "$src/big/archive"; cat "$src/small/tail"; } >"$src/big/tailed" # a file that is a piece too
    truncate -s 64M "$src/big/sparse"; seq 1 50000 | dd of="$src/big/sparse" bs=1M seek=33 conv=notrunc status=none
    truncate -s 40M "$src/big/hole"
    i=0
    while [ $i -lt 300 ]; do seq $i $((i * 7 + 3)) >"$src/small/file$i"; i=$((i + 1)); done
    seq 1 9 >"$src/small/deep/er/leaf"; : >"$src/small/empty"; ln "$src/small/file1" "$src/small/deep/link1"; ln "$src/small/file1" "$src/moves/link1b"
    ln "$src/big/archive" "$src/moves/archive-link"
    printf 1 >"$src/odd/$(printf 'new\nline')"; printf 2 >"$src/odd/ two  spaces "; printf 3 >"$src/odd/-rf"; printf 4 >"$src/odd/100%41"
    printf 5 >"$src/odd/$(printf '\377\376\200 not utf-8')"; printf 6 >"$src/odd/back\\slash"; printf 7 >"$src/odd/qu'o\"te \$(x) \`y\`"
    printf 8 >"$src/odd/$(printf 'cr\r')"; printf 9 >"$src/odd/$(printf '\001\033[31m\177')"; printf a >"$src/odd/..."; printf b >"$src/odd/*"
    mkdir "$src/odd/$(printf -- '- dir\n')x"; printf c >"$src/odd/$(printf -- '- dir\n')x/in side"
    ln -s nowhere "$src/moves/dangling"; ln -s "$(printf 'sp ace\nnl%%')" "$src/moves/odd link"; ln -s ../small "$src/moves/to-dir"; ln -P "$src/moves/dangling" "$src/moves/dangling2"
    mkfifo "$src/moves/pipe"; chmod 0640 "$src/moves/pipe"
    seq 1 400000 >"$src/-x%"                                     # a version with a recipe under an odd name
    setfattr -n user.one -v 'a value' "$src/small/file2"; setfattr -n "$(printf 'user.b=\\x y')" -v 0x00ff0a "$src/odd/-rf"; setfattr -n user.empty "$src/odd"
    setfacl -m u:12345:rwx,d:g:54321:r "$src/small/deep"; setfacl -m u:12345:r "$src/small/file3"
    chmod 0000 "$src/small/file4"; chmod 0444 "$src/small/file5"; chmod 1777 "$src/moves"; chmod 2755 "$src/small/deep/er"; chmod 0555 "$src/odd"
    touch -d @-5000000000.25 "$src/small/file6"; touch -d @5000000000.000000001 "$src/small/file7"; touch -hd @12345.678901234 "$src/moves/dangling"; touch -d @0 "$src/big"
    chown 12345:54321 "$src/small/file8"; chown -h 3:4 "$src/moves/to-dir"; chown 12345:54321 "$src/moves/image"; chmod 4751 "$src/moves/image"
    mknod "$src/moves/device" c 1 300 2>/dev/null || : # a container may not be allowed to
}
overwrite() { printf %s "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; } # FILE OFFSET TEXT
replace() { cat >"$tree/new"; cat "$tree/new" >"$1"; }
change() { # NIGHT: from 2 on
    n=$1
    for at in 11 5003 100007 700001 1000003; do overwrite "$src/big/database" $((at * (n + 13) % 28000000)) "night $n was here"; done
    seq -f "night $n line %.0f" 1 20000 >>"$src/big/log"
    { head -c $((n * 1000)) "$src/big/archive"; seq -f "inserted $n %.0f" 1 300; tail -c +$((n * 1000 + 1)) "$src/big/archive"; } | replace "$src/big/archive"
    printf 'data of night %s' "$n" | dd of="$src/big/sparse" bs=1M seek=$((n * 5)) conv=notrunc status=none
    overwrite "$src/-x%" $((n * 1000)) "$n"
    i=0; while [ $i -lt 10 ]; do seq $n $((n * 50 + i)) >"$src/small/file$((n * 20 + i))"; i=$((i + 1)); done
    rm -f "$src/small/file$((n * 20 + 11))" "$src/small/file$((n * 20 + 12))"; echo "new $n" >"$src/small/new$n"
    echo "$n" >"$src/odd/$(printf 'new\nline')"; touch -d "@$((n * 1000000)).00000000$n" "$src/small/file9"
    case $n in
    2) mv "$src/small/deep" "$src/small/renamed directory"; truncate -s 20000001 "$src/big/log" ;;
    3) mv "$src/moves/image" "$src/big/image moved"; rm "$src/small/file30"; mkdir "$src/small/file30"; echo inside >"$src/small/file30/inside"; chmod 0700 "$src/moves/pipe" ;;
    4) cp "$src/big/archive" "$src/moves/copy of archive"; rm "$src/moves/pipe"; ln -s file31 "$src/moves/pipe"; setfattr -x user.one "$src/small/file2"; setfacl -b "$src/small/file3" ;;
    5) rm "$src/moves/archive-link"; : >"$src/big/hole"; overwrite "$src/moves/copy of archive" 77 changed; rm -r "$src/small/file30"; seq 1 20 >"$src/small/file30"; chmod 0600 "$src/big/database" ;;
    6) truncate -s 17000000 "$src/big/database"; mv "$src/-x%" "$src/odd name of a big file"; seq 1 400000 >"$src/-x%"; setfattr -n user.two -v 2 "$src/big/log" ;;
    7) seq 1 99 >>"$src/big/database"; truncate -s 16777216 "$src/big/archive"; rm "$src/small/file1"; touch -d @77 "$src/odd" ;;
    8) rm "$src/big/log"; seq 900000 -1 1 >"$src/big/hole"; truncate -s 70M "$src/big/sparse" ;;
    esac
}
mkdir -p "$tree/c/policies"
start() { # NAME ENCRYPTION: a policy and its repository
    name=$1 repository=$tree/$1.repository
    printf 'sources: [{path: "%s"}]\nrepository: "%s"\nencryption: %s\ndelta: {max_chain: 14, min_size: 64KiB, max_share: 100%%}\n' "$src" "$repository" "$2" >"$tree/c/policies/$1.yaml"
    expect "$1: init" 0 "$bkd" --config-dir "$tree/c" --state-dir "$tree/s" init "$1"
}
expect "keys init" 0 "$bkd" --config-dir "$tree/c" --state-dir "$tree/s" keys init
signers=$tree/c/keys/allowed_signers
nights=8
start sealed '{recipients: recipients.txt}'
make_tree
night=1
while [ $night -le $nights ]; do
    [ $night = 1 ] || change $night
    cp -a "$src" "$tree/night$night"
    code=0
    "$bkd" --config-dir "$tree/c" --state-dir "$tree/s" backup sealed >"$tree/out" 2>&1 || code=$?
    [ $code = 0 ] || report bad "night $night: backup (exit $code)" "$tree/out"
    night=$((night + 1))
done
cmp -s "$repository/recover.sh" "$root/scripts/recover.sh" && cmp -s "$repository/RECOVER.txt" "$root/scripts/RECOVER.txt" && same=ok || same=bad
report $same "the repository carries recover.sh and RECOVER.txt"
for file in recover.sh RECOVER.txt; do
    signer=$(ssh-keygen -Y find-principals -s "$repository/$file.sig" -f "$signers") || signer=
    expect "ssh-keygen verifies $file" 0 sh -c "ssh-keygen -Y verify -f '$signers' -I '$signer' -n bkd-recover@v1 -s '$repository/$file.sig' <'$repository/$file'"
done

# --- each night by hand ------------------------------------------------------------------------------------------------------
compare() { # NIGHT TARGET TITLE
    rsync -aHAXn --checksum --modify-window=-1 --itemize-changes --delete "$tree/night$1/" "$2$src/" >"$tree/out" 2>&1 || :
    if [ -s "$tree/out" ]; then report bad "$3" "$tree/out"; else report ok "$3"; fi
}
identity=$tree/c/keys/operations.txt
for night in 8 1 3 2 7 5 4 6; do
    expect "night $night: recover.sh says complete" 0 recover $night "$tree/target"
    compare $night "$tree/target" "night $night: the same for rsync"
    if [ $night = 1 ]; then
        blocks=$(du -k "$tree/target$src/big/sparse" | cut -f 1)
        if [ "$blocks" -lt 8192 ]; then report ok "the sparse file is sparse"; else report bad "the sparse file is sparse ($blocks KiB)"; fi
    fi
    chmod -R u+rwx "$tree/target"; rm -rf "$tree/target"
done
expect "latest, with the other identity" 0 env -i PATH="$tree/tools" BKD_SIGNERS="$signers" \
    sh "$repository/recover.sh" "$repository" "$tree/c/keys/recovery.txt" latest "$tree/target"
compare 8 "$tree/target" "latest is night 8"
expect "a target that is not empty is refused" 2 recover latest "$tree/target"
chmod -R u+rwx "$tree/target"; rm -rf "$tree/target"

# --- each delta through rdiff, each version from its flat ranges ---------------------------------------------------------------
mkdir "$tree/x" "$tree/x/v"
chain=$(ls "$repository/heads")
cat "$repository"/refs/* | awk '$1 == "object" { print $2, $3 }' | sort -nu >"$tree/x/objects"
while read -r object sha; do
    age -d -i "$identity" "$repository/objects/$(printf %.2s "$sha")/$sha.tar.zst.age" | zstd -dcq >"$tree/x/$object.tar"
    tar -tvf "$tree/x/$object.tar" | awk -v n="$object" 'BEGIN { o = 512 } { print n ":" o "+" $3, $6; o += 512 + int(($3 + 511) / 512) * 512 }'
done <"$tree/x/objects" >"$tree/x/members"
cat >"$tree/x/place.pl" <<'PERL'
my $dir = shift; # places on the command line, their bytes on standard output
for (@ARGV) {
    my ($object, $offset, $length) = /^(\d+):(\d+)\+(\d+)$/ or die "place '$_'";
    if ($object == 0) { print "\0" x $length; next }
    if (!$tar{$object}) { open $tar{$object}, '<', "$dir/$object.tar" or die "object $object: $!" }
    seek $tar{$object}, $offset, 0; my $got = read $tar{$object}, my $bytes, $length;
    die "'$_' is beyond the object" if $got != $length;
    print $bytes;
}
PERL
place() { perl "$tree/x/place.pl" "$tree/x" "$@"; }
deltas=0 wrong=0 flat=0
: >"$tree/x/wrong"
awk '$2 ~ /recipe$/ { print $1 }' "$tree/x/members" >"$tree/x/recipes" # in the order they were written: bases first
while read -r recipe; do
    place "$recipe" >"$tree/x/recipe"
    base=$(awk '$1 == "base" { print $3 }' "$tree/x/recipe")
    : >"$tree/x/flat"; : >"$tree/x/new"; offset=0
    while read -r word a b c d; do
        case $word in
        piece)
            case $a in
            whole) place "$d" >"$tree/x/piece" ;;
            hole) head -c "$b" /dev/zero >"$tree/x/piece" ;;
            same) tail -c +$((offset + 1)) "$tree/x/v/$base" | head -c "$b" >"$tree/x/piece" ;;
            delta)
                place "$d" >"$tree/x/delta"; deltas=$((deltas + 1))
                rdiff -f patch "$tree/x/v/$base" "$tree/x/delta" "$tree/x/piece" || wrong=$((wrong + 1))
                ;;
            esac
            cat "$tree/x/piece" >>"$tree/x/new"
            sum=$(sha256sum <"$tree/x/piece"); length=$(stat -c %s "$tree/x/piece"); offset=$((offset + b))
            [ "${sum%% *}" = "$c" ] && [ "$length" = "$b" ] || { wrong=$((wrong + 1)); echo "recipe $recipe, piece $a at $offset: wrong" >>"$tree/x/wrong"; }
            case $a in whole|hole) cat "$tree/x/piece" >>"$tree/x/flat" ;; esac
            ;;
        ranges) place $a $b $c $d >>"$tree/x/flat" ;;
        esac
    done <"$tree/x/recipe"
    cmp -s "$tree/x/new" "$tree/x/flat" && flat=$((flat + 1)) || { wrong=$((wrong + 1)); echo "recipe $recipe: flat ranges differ" >>"$tree/x/wrong"; }
    mv "$tree/x/new" "$tree/x/v/$recipe"
done <"$tree/x/recipes"
stored=$(grep -c '\.delta$' "$tree/x/members")
if [ $wrong = 0 ] && [ $deltas = "$stored" ] && [ $deltas -ge 30 ]; then report ok "all $deltas deltas pass rdiff patch, all $flat versions are the same from flat ranges"
else report bad "$deltas of $stored deltas, $flat versions, $wrong wrong" "$tree/x/wrong"; fi
rm -rf "$tree/x"

# --- one file without the script: the commands that RECOVER.txt shows ---------------------------------------------------------------
mkdir "$tree/hand"
head=$repository/heads/$chain/8
refs=$(awk '$1 == "refs" { print $2 }' "$head")
shown() { sed -n "$1" "$repository/RECOVER.txt" | sed "s|refs/X|refs/$refs|g; s|/tmp/|$tree/hand/|g"; }
{ echo 'cd "$1"; K=$2; D=$3'
  shown '/^ *place() {/,/^ *tail/p'
  echo "place $(awk '$1 == "manifest" { print $2 }' "$head") >$tree/hand/recipe"
  shown '/^ *awk .$1=="piece"/,/done >/p'
  echo "place \$(awk '\$1 == \"$src/small/new8\"' $tree/hand/manifest | tr ' ' '\\n' | sed -n 's/^at=//p') >$tree/hand/file"
} >"$tree/hand/commands"
expect "the commands of RECOVER.txt run" 0 env -i PATH="$tree/tools:/usr/bin:/bin" sh "$tree/hand/commands" "$repository" "$identity" "$tree/hand"
sum=$(sha256sum <"$tree/hand/manifest")
if [ "${sum%% *}" = "$(awk '$1 == "manifest" { print $5 }' "$head")" ]; then report ok "and rebuild the manifest"; else report bad "and rebuild the manifest"; fi
if cmp -s "$tree/hand/file" "$tree/night8/small/new8"; then report ok "and a file"; else report bad "and a file" "$tree/hand/commands"; fi
rm -rf "$tree/hand"

# --- not what it was --------------------------------------------------------------------------------------------------------------
expect "without signers it refuses" 2 recover latest "$tree/target" BKD_SIGNERS=
says "and says what to do" BKD_SIGNERS
ssh-keygen -q -t ed25519 -N '' -f "$tree/other" && printf 'other %s\n' "$(cat "$tree/other.pub")" >"$tree/others"
expect "signers that do not match" 4 recover latest "$tree/target" BKD_SIGNERS="$tree/others"
expect "BKD_UNSIGNED=yes goes on" 0 recover latest "$tree/target" BKD_SIGNERS= BKD_UNSIGNED=yes
compare 8 "$tree/target" "and is right too"; chmod -R u+rwx "$tree/target"; rm -rf "$tree/target"
age-keygen -o "$tree/wrong.txt" 2>/dev/null
right=$identity; identity=$tree/wrong.txt
expect "the wrong identity" 4 recover latest "$tree/target"
identity=$right
rm -rf "$tree/target"
head -c 300 "$repository/heads/$chain/8" >"$repository/heads/$chain/9"
expect "a torn head is void" 0 recover latest "$tree/target" && says "it says so" 'snapshot 9 is void'
compare 8 "$tree/target" "the one before is taken"; chmod -R u+rwx "$tree/target"; rm -rf "$tree/target"
expect "a void number asked for" 4 recover 9 "$tree/target"
rm -f "$repository/heads/$chain/9"; rm -rf "$tree/target"
first=$(awk '$1 == "object" && $2 == 1 { print $3 }' "$repository"/refs/* | head -n 1)
object=$repository/objects/$(printf %.2s "$first")/$first.tar.zst.age
overwrite "$object" 100000 X
expect "a damaged object" 3 recover 8 "$tree/target"
says "is named" "$first"; says "and what it cost" 'content is missing or damaged: .*/small/file200$'
if cmp -s "$tree/night8/small/new8" "$tree/target$src/small/new8"; then report ok "what is not in it is there"; else report bad "what is not in it is there" "$tree/out"; fi
chmod -R u+rwx "$tree/target"; rm -rf "$tree/target"

# --- not encrypted, two chains -------------------------------------------------------------------------------------------------
rm -rf "$repository" "$tree"/night*
identity=none
start open none
cp -a "$src" "$tree/night1"
expect "open: backup" 0 "$bkd" --config-dir "$tree/c" --state-dir "$tree/s" backup open
overwrite "$src/big/image moved" 5000000 changed; rm "$src/odd/-rf" 2>/dev/null || :
cp -a "$src" "$tree/night2"
expect "open: second backup" 0 "$bkd" --config-dir "$tree/c" --state-dir "$tree/s" backup open
for night in 1 2; do
    expect "open: night $night" 0 recover $night "$tree/target"
    compare $night "$tree/target" "open: night $night is the same for rsync"
    chmod -R u+rwx "$tree/target"; rm -rf "$tree/target"
done
chain=$(ls "$repository/heads"); other=$(echo "$chain" | tr '0-9a-f' '1-9a-f0')
mkdir "$repository/heads/$other"
expect "with two chains it asks" 2 recover latest "$tree/target"; says "for BKD_CHAIN" BKD_CHAIN
expect "and takes the answer" 0 recover latest "$tree/target" BKD_CHAIN="$chain"

# --- the example of the specification; the same with hostile lines in its manifest -------------------------------------------------
chmod -R u+rwx "$tree/target"; rm -rf "$tree/target"
expect "the example is made with stock tools from the text of the specification" 0 sh "$root/tests/golden/repository/make.sh" "$tree/golden"
signers=$tree/golden/allowed_signers
for repository in "$root/tests/golden/repository/repository" "$tree/golden/repository"; do
    for night in 1 2; do
        expect "example: night $night" 0 env -i PATH="$tree/tools" BKD_SIGNERS="$signers" sh "$root/scripts/recover.sh" "$repository" none $night "$tree/target"
        rsync -aHAXn --checksum --modify-window=-1 --itemize-changes --delete "$tree/golden/$night/srv" "$tree/target/" >"$tree/out" 2>&1 || :
        if [ -s "$tree/out" ]; then report bad "example: night $night is the same for rsync" "$tree/out"; else report ok "example: night $night is the same for rsync"; fi
        rm -rf "$tree/target"
        expect "example: bkd-restore, night $night" 0 "$BKD_BIN/bkd-restore" -r "$repository" --signers "$signers" restore $night --target "$tree/target"
        rsync -aHAXn --checksum --modify-window=-1 --itemize-changes --delete "$tree/golden/$night/srv" "$tree/target/" >"$tree/out" 2>&1 || :
        if [ -s "$tree/out" ]; then report bad "example: bkd-restore, night $night, is the same" "$tree/out"; else report ok "example: bkd-restore, night $night, is the same"; fi
        rm -rf "$tree/target"
    done
    expect "example: bkd-restore check --read-data" 0 "$BKD_BIN/bkd-restore" -r "$repository" --signers "$signers" check --read-data
done
chmod 755 "$tree"; mkdir -m 1777 "$tree/nobody"
expect "not root: owners are left out, and it says so" 3 setpriv --reuid 65534 --regid 65534 --clear-groups env -i PATH="$tree/tools" BKD_UNSIGNED=yes \
    sh "$root/scripts/recover.sh" "$tree/golden/repository" none 2 "$tree/nobody/target"
says "how many" 'not root: entries that keep your owner: 8'
if cmp -s "$tree/golden/2/srv/data/ledger" "$tree/nobody/target/srv/data/ledger"; then report ok "not root: content"; else report bad "not root: content"; fi
mkdir "$tree/outside"
hello='mode=0644 uid=0 gid=0 mtime=1.000000000 size=7 at=1:1536+7'
{ echo "/../escape f $hello"
  echo "/srv/../../escape2 f $hello"
  echo "/srv/data/out l mode=0777 uid=0 gid=0 mtime=1.000000000 target=$tree/outside"
  echo "/srv/data/out/through f $hello"
  echo "/srv/data/twice l mode=0777 uid=0 gid=0 mtime=1.000000000 target=$tree/outside/twice"
  echo "/srv/data/twice f $hello"
  echo "/srv/data/twice2 f $hello"
  echo "/srv/data/twice3 f $hello"
  echo "/srv/data/twice2 l mode=0777 uid=0 gid=0 mtime=1.000000000 target=$tree/outside/twice"
  echo "/srv/data/word f mode=0644 uid=\$(touch\${IFS}$tree/outside/uid) gid=0 mtime=1.000000000 size=7 at=1:1536+7"
  echo "/srv/data/place f mode=0644 uid=0 gid=0 mtime=1.000000000 size=7 at=1/../../../outside/place:1536+7"
} >"$tree/hostile"
expect "an example with hostile lines" 0 sh "$root/tests/golden/repository/make.sh" "$tree/hostiles" "$tree/hostile"
signers=$tree/hostiles/allowed_signers
expect "hostile lines are left out" 3 env -i PATH="$tree/tools" BKD_SIGNERS="$signers" sh "$root/scripts/recover.sh" "$tree/hostiles/repository" none 1 "$tree/target"
if [ -z "$(ls -A "$tree/outside")" ] && [ ! -e "$tree/escape" ] && [ ! -e "$tree/escape2" ]; then report ok "nothing is written outside the target"
else ls -lR "$tree/outside" >"$tree/out"; report bad "nothing is written outside the target" "$tree/out"; fi
echo "1..$number"
exit $failed
