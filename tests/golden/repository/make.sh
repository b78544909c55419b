#!/bin/sh
# make.sh DIR [LINES]: makes the example repository of doc/FORMAT.md in DIR, from the text of the specification alone, with stock tools
# (tar, zstd, rdiff, sha256sum, ssh-keygen, awk, od). DIR/repository is the repository, DIR/1 and DIR/2 are the trees its two
# snapshots describe. Not encrypted, so that its bytes are the same each time (zstd of another release may compress otherwise).
# LINES is a file of further lines for the manifest of the first night. The key beside this script is for this example only.
set -eu
LC_ALL=C; export LC_ALL; umask 022
here=$(cd "$(dirname "$0")" && pwd)
[ $# = 1 ] || lines=$(cat "$2")
mkdir -p "$1"; cd "$1"
R=$PWD/repository; mkdir -p "$R/objects" "$R/heads" "$R/refs" work
cp "$here/signing" work/key; chmod 600 work/key
id=00112233445566778899aabbccddeeff chain=0123456789abcdef0123456789abcdef
sum() { sha256sum <"$1" | cut -c 1-64; }
size() { stat -c %s "$1"; }
sign() { # sign FILE NAMESPACE OUT
    mkdir -p "$(dirname "$3")"; rm -f "$1.sig"; ssh-keygen -q -Y sign -f work/key -n "$2" "$1" 2>/dev/null; cat "$1" "$1.sig" >"$3"
}
le32() { printf "\\$(printf %o $(($1 & 255)))\\$(printf %o $(($1 >> 8 & 255)))\\$(printf %o $(($1 >> 16 & 255)))\\$(printf %o $(($1 >> 24 & 255)))"; }

# --- objects: begin_object N, add KIND FILE -> $place, end_object ---------------------------------------------------------------
begin_object() { object=$1; members=0; offset=0; rm -rf work/o; mkdir work/o; }
add() {
    cp "$2" "work/o/$(printf %08d $members).$1"
    place=$object:$((offset + 512))+$(size "$2")
    offset=$((offset + 512 + ($(size "$2") + 511) / 512 * 512)); members=$((members + 1))
}
end_object() {
    (cd work/o && tar --format=ustar --owner=0 --group=0 --numeric-owner --mode=0600 --mtime=@0 -b 1 -cf ../tar *)
    [ "$(size work/tar)" = $((offset + 1024)) ]
    zstd -q -3 --check -c work/tar >work/z
    { le32 $((0x184D2A5E)); le32 17; le32 "$(size work/z)"; le32 "$(size work/tar)"; le32 1; printf '\0'; le32 $((0x8F92EAB1)); } >work/table
    cat work/z work/table >work/object
    s=$(sum work/object); mkdir -p "$R/objects/$(printf %.2s "$s")"; cp work/object "$R/objects/$(printf %.2s "$s")/$s.tar.zst"
    echo "object $object $s $(size work/object)" >work/object.$object
}
# ranges DELTA DELTA-PLACE BASE-PLACE: the flat ranges of a delta whose base is one whole member.
ranges() {
    od -An -v -tu1 "$1" | awk -v d="$2" -v b="$3" '
        function n(k,  x) { x = 0; while (k--) x = x * 256 + byte[++i]; return x }
        { for (j = 1; j <= NF; j++) byte[++m] = $j }
        END { split(d, dp, /[:+]/); split(b, bp, /[:+]/); w[0] = 1; w[1] = 2; w[2] = 4; w[3] = 8; i = 4; printf "ranges"
            while ((c = byte[++i]) != 0) {
                if (c >= 69) { o = n(w[int((c - 69) / 4)]); l = n(w[(c - 69) % 4]); printf " %d:%d+%d", bp[1], bp[2] + o, l }
                else { l = c > 64 ? n(w[c - 65]) : c; printf " %d:%d+%d", dp[1], dp[2] + i, l; i += l }
            }
            print "" }'
}
recipe() { # recipe ID FILE SHA256|- BASE CHAIN, further lines from stdin
    printf 'bkd-recipe/1\nid %s\nsize %s\nsha256 %s\nbase %s\nchain %s\n' "$1" "$(size "$2")" "$3" "$4" "$5"; cat
}
# commit N PREVIOUS MANIFEST-PLACE RECIPE TIME FILES BYTES: refs and head. The closure here is every object up to now.
commit() {
    printf 'bkd-refs/1\nchain %s\n' $chain >work/refs
    for k in $(seq 1 "$object"); do
        echo "$(cat work/object.$k) $(cat work/used.$1.$k) -" >>work/refs
    done
    r=$(sum work/refs); cp work/refs "$R/refs/$r"
    { printf 'bkd-head/1\nrepository %s\nchain %s\nhost example\npolicy golden%%20files\nnumber %s\nprevious %s\ntime %s\nnext-by -\n' $id $chain "$1" "$2" "$5"
      echo "manifest $3 $(sum "$4") $(size work/manifest) $(sum work/manifest)"
      printf 'refs %s %s\nnext-object %s\nfiles %s\nentries %s\nbytes %s\nstored %s\nflags -\ntag -\n' "$r" "$(size work/refs)" $((object + 1)) \
          "$6" "$(wc -l <work/manifest)" "$7" "$(size work/object)"; } >work/head
    sign work/head bkd-head@v1 "$R/heads/$chain/$1"
}

printf 'bkd-repository/1\nrepository %s\ncreated 2026-01-02T03:04:05Z\nread-requires -\nwrite-requires -\nencryption none\npiece-size 16777216\nobject-size 134217728\n' \
    $id >work/repository
sign work/repository bkd-repository@v1 "$R/bkd-repository"
for f in recover.sh RECOVER.txt; do # a real repository carries scripts/recover.sh and scripts/RECOVER.txt
    echo "# This example carries no $f of its own." >"$R/$f"; cp "$R/$f" work/; sign "work/$f" bkd-recover@v1 /dev/null; cp "work/$f.sig" "$R/"
done

# --- the trees -------------------------------------------------------------------------------------------------------------------
mkdir -p 1/srv/data 2/srv/data
printf 'Hello.\n' >1/srv/data/hello
seq -f 'line %g' 1 300 >1/srv/data/ledger
: >"1/srv/data/-odd 100%
name"
printf 'one\n' >1/srv/data/linked; ln 1/srv/data/linked 1/srv/data/linked2; ln -s "no where" 1/srv/data/sym; mkfifo 1/srv/data/pipe
truncate -s 20000000 1/srv/data/sparse; printf 'end' | dd of=1/srv/data/sparse bs=1 seek=18000000 conv=notrunc status=none
cp -a 1/srv/data/* 2/srv/data/; rm 2/srv/data/linked2 2/srv/data/pipe; mv 2/srv/data/hello 2/srv/data/moved
{ printf 'a new line in front: %s\n' "$(seq -s, 1 40)"; cat 1/srv/data/ledger; } >2/srv/data/ledger

# --- night 1 ---------------------------------------------------------------------------------------------------------------------
D='mode=0755 uid=0 gid=0 user=root group=root mtime=1767322800'
F='mode=0644 uid=1000 gid=100 user=ada group=users mtime=1767322800'
begin_object 1
printf 'user.comment=0x676f6c64656e\nuser.empty=0x\n' >work/xattr; add xattr work/xattr; xattr=$place
add whole 1/srv/data/hello; hello=$place
add whole 1/srv/data/ledger; ledger=$place
add whole 1/srv/data/linked; linked=$place
tail -c +16777217 1/srv/data/sparse >work/piece; add whole work/piece; sparse=$place
zeros=$(head -c 16777216 /dev/zero | sha256sum | cut -c 1-64)
printf 'extent 18000000+3\npiece hole 16777216 %s -\npiece whole %s %s %s\n' "$zeros" "$(size work/piece)" "$(sum work/piece)" "$sparse" |
    recipe 5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a 1/srv/data/sparse "$(sum 1/srv/data/sparse)" '- -' 1 >work/recipe
add recipe work/recipe; sparserecipe=$place
printf 'piece whole %s %s %s\n' "$(size 1/srv/data/ledger)" "$(sum 1/srv/data/ledger)" "$ledger" |
    recipe 11111111111111111111111111111111 1/srv/data/ledger "$(sum 1/srv/data/ledger)" '- -' 1 >work/recipe
add recipe work/recipe; ledger1=$place
entries() { # entries NIGHT: the part of the manifest that both nights have in this order
    echo "/ d $D.000000000"
    echo "/srv d $D.500000000"
    echo "/srv/data d mode=2750 uid=1000 gid=100 user=ada group=users mtime=-2.750000000 xattr=$xattr source=0"
    echo "/srv/data/-odd%20100%25%0Aname f mode=0600 uid=1000 gid=100 user=ada group=users mtime=1767322799.000000001 size=0 source=0"
}
{ entries
  echo "/srv/data/hello f $F.000000000 size=7 xattr=$xattr sha256=$(sum 1/srv/data/hello) at=$hello source=0"
  echo "/srv/data/ledger f $F.000000000 size=$(size 1/srv/data/ledger) sha256=$(sum 1/srv/data/ledger) version=$ledger1 source=0"
  echo "/srv/data/linked f $F.000000000 size=4 hardlink=1.2a sha256=$(sum 1/srv/data/linked) at=$linked source=0"
  echo "/srv/data/linked2 f $F.000000000 size=4 hardlink=1.2a sha256=$(sum 1/srv/data/linked) at=$linked source=0"
  echo "/srv/data/pipe p $F.000000000 source=0"
  echo "/srv/data/sparse f $F.000000000 size=20000000 sha256=$(sum 1/srv/data/sparse) version=$sparserecipe source=0"
  echo "/srv/data/sym l mode=0777 uid=0 gid=0 user=root group=root mtime=1767322800.000000000 target=no%20where source=0"
  [ -z "${lines-}" ] || printf '%s\n' "$lines"
} >work/manifest
add whole work/manifest; manifest1=$place
{ printf 'piece whole %s %s %s\n' "$(size work/manifest)" "$(sum work/manifest)" "$place"; echo 'index 0 /'; } |
    recipe 22222222222222222222222222222222 work/manifest "$(sum work/manifest)" '- -' 1 >work/recipe
add recipe work/recipe; manifestrecipe1=$place
{ printf 'bkd-meta/1\nrepository %s\nchain %s\nobject 1\n' $id $chain; awk '/ (at|version)=1:/ { print "entry " $0 }' work/manifest; } >work/meta
add meta work/meta
end_object
cp work/manifest work/manifest.1; cp work/recipe work/mrecipe.1
used() { awk '{ for (i = 1; i <= NF; i++) { split($i, p, /[:+]/); t += p[3] } } END { print t }'; }
echo "$xattr $hello $ledger $linked $sparse $sparserecipe $ledger1 $manifest1 $manifestrecipe1" | used >work/used.1.1
commit 1 "$(printf '%064d' 0)" "$manifestrecipe1" work/mrecipe.1 2026-01-02T03:05:00Z 6 $((7 + $(size 1/srv/data/ledger) + 4 + 4 + 20000000))

# --- night 2 ---------------------------------------------------------------------------------------------------------------------
begin_object 2
rdiff -f -b 64 -S 8 signature 1/srv/data/ledger work/sig; rdiff -f delta work/sig 2/srv/data/ledger work/delta
add delta work/delta
{ printf 'piece delta %s %s %s\n' "$(size 2/srv/data/ledger)" "$(sum 2/srv/data/ledger)" "$place"; ranges work/delta "$place" "$ledger"; } |
    recipe 33333333333333333333333333333333 2/srv/data/ledger "$(sum 2/srv/data/ledger)" "11111111111111111111111111111111 $ledger1" 2 >work/recipe
ledgerdelta=$place; cp work/recipe work/ledger2; add recipe work/recipe; ledger2=$place
{ entries
  echo "/srv/data/ledger f $F.250000000 size=$(size 2/srv/data/ledger) sha256=$(sum 2/srv/data/ledger) version=$ledger2 source=0"
  echo "/srv/data/linked f $F.000000000 size=4 sha256=$(sum 1/srv/data/linked) at=$linked source=0"
  echo "/srv/data/moved f $F.000000000 size=7 xattr=$xattr sha256=$(sum 1/srv/data/hello) at=$hello source=0"
  echo "/srv/data/sparse f $F.000000000 size=20000000 sha256=$(sum 1/srv/data/sparse) version=$sparserecipe source=0"
  echo "/srv/data/sym l mode=0777 uid=0 gid=0 user=root group=root mtime=1767322800.000000000 target=no%20where source=0"
} >work/manifest
rdiff -f -b 64 -S 8 signature work/manifest.1 work/sig; rdiff -f delta work/sig work/manifest work/delta
add delta work/delta
{ printf 'piece delta %s %s %s\n' "$(size work/manifest)" "$(sum work/manifest)" "$place"; ranges work/delta "$place" "$manifest1"; echo 'index 0 /'; } |
    recipe 44444444444444444444444444444444 work/manifest "$(sum work/manifest)" "22222222222222222222222222222222 $manifestrecipe1" 2 >work/recipe
manifestdelta=$place; add recipe work/recipe; manifestrecipe2=$place; cp work/recipe work/mrecipe.2
{ printf 'bkd-meta/1\nrepository %s\nchain %s\nobject 2\n' $id $chain; awk '/ version=2:/ { print "entry " $0 }' work/manifest; } >work/meta
add meta work/meta
end_object
echo "$xattr $hello $ledger $linked $sparse $sparserecipe $ledger1 $manifest1 $manifestrecipe1" | used >work/used.2.1
echo "$ledgerdelta $ledger2 $manifestdelta $manifestrecipe2" | used >work/used.2.2
commit 2 "$(sum "$R/heads/$chain/1")" "$manifestrecipe2" work/mrecipe.2 2026-01-03T03:05:00Z 5 $(($(size 2/srv/data/ledger) + 4 + 7 + 20000000))

# --- records: a tag, a hold and its release ----------------------------------------------------------------------------------------
signer=$(cut -d ' ' -f 2 "$here/signing.pub" | base64 -d | sha256sum | cut -c 1-64)
# record N PREVIOUS KIND NAMESPACE, its last lines from stdin: about snapshot 2.
record() {
    { printf 'bkd-record/1\nrepository %s\nnumber %s\nprevious %s\ntime 2026-01-03T09:0%s:00Z\nby ada@example\nkind %s\n' $id "$1" "$2" "$1" "$3"
      printf 'chain %s\nsnapshot 2\nhead %s\n' $chain "$(sum "$R/heads/$chain/2")"; cat; } >work/record
    sign work/record "$4" "$R/records/$signer/$1"
}
echo 'tag before-the-move' | record 1 "$(printf '%064d' 0)" tag bkd-record@v1
echo 'reason change%201234' | record 2 "$(sum "$R/records/$signer/1")" hold bkd-record@v1
hold=$(sum "$R/records/$signer/2"); cp work/record work/hold
{ echo "hold $hold"; echo 'reason -'; } | record 3 "$hold" release bkd-retention@v1

# The trees get what the manifests say.
for n in 1 2; do (cd $n && chown -h 1000:100 srv/data/* && chown 1000:100 srv/data && chmod 0644 srv/data/[a-r]* srv/data/sparse && chmod 0600 srv/data/-odd* &&
    chmod 2750 srv/data && chmod 0755 srv . && chown 0:0 srv . && chown -h 0:0 srv/data/sym
    setfattr -n user.comment -v golden srv/data; setfattr -n user.empty srv/data
    for f in srv/data/hello srv/data/moved; do [ ! -e $f ] || { setfattr -n user.comment -v golden $f; setfattr -n user.empty $f; }; done
    touch -hd @1767322800 srv/data/* . && touch -d @1767322799.000000001 srv/data/-odd* && touch -d @-1.25 srv/data && touch -d @1767322800.5 srv); done
touch -d @1767322800.25 2/srv/data/ledger; touch -d @-1.25 2/srv/data
printf 'golden@example namespaces="bkd-*" %s\n' "$(cut -d ' ' -f 1,2 "$here/signing.pub")" >allowed_signers
# The texts alone, as doc/FORMAT.md shows them.
mkdir -p texts; cp work/repository texts/bkd-repository; cp work/refs texts/refs; cp work/head texts/head; cp work/ledger2 texts/recipe; cp work/hold texts/record; cp work/manifest texts/manifest
rm -rf work
