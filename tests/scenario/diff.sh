#!/bin/sh
# bkd diff: two snapshots, and a snapshot with the files as they are now; what is looked at and what is believed. The list of what differs is
# compared with rsync's. Prints TAP. BKD_BIN is the directory of bkd and bkd-restore.
. "$(dirname "$0")/lib.sh"

d() { run_bkd diff p "$@"; }
key() { d "$@" -i "$config/keys/operations.txt"; }
has() { if grep -Fqx -- "$2" "$tree/out"; then ok "$1"; else bad "$1"; fi; } # TITLE LINE
# Paths that differ between the source and a copy, by rsync: not directories, whose times are another matter.
rsync_paths() {
    rsync -rlptgoDXAn --modify-window=-1 --checksum --delete --out-format='%i %n' "$1/" "$source/" 2>/dev/null | sed -n 's/^\*deleting *//p; s/^[^ ]* //p' | sed 's/ -> .*//' |
        grep -v '/$' | sort -u
}
bkd_paths() { sed -n "s|^[-+Mm] [^d] $source/||p" "$tree/out" | sed 's/  (.*//' | sort -u; }

host diff '{recipients: recipients.txt}' 'exclude: ["*.tmp"]'
mkdir -p "$source/dir/sub" "$source/gone"
for i in $(seq 1 50); do seq "$i" 200 >"$source/dir/file-$i"; done
seq 1 100000 >"$source/big"
ln -s big "$source/link"
echo same >"$source/linked"
ln "$source/linked" "$source/dir/linked"
echo x >"$source/gone/x"
mkfifo "$source/fifo"
echo x >"$source/not.tmp"
if setfattr -n user.colour -v blue "$source/dir/file-1" 2>/dev/null; then xattrs=yes; else xattrs=no; fi
is 0 "init" run_bkd init p
is 0 "a backup" backup --tag before
cp -a "$source" "$tree/before"

# --- nothing changed
is 0 "nothing differs" d before
says "and that is what it counts" '^0 added \(0 B\), 0 removed \(0 B\), 0 modified \(0 B\), 0 with other metadata$'
is 0 "not for --exit-code either" d before live --exit-code
is 0 "nor by content" d before --content --exit-code

# --- things change
sleep 0.05
echo more >>"$source/dir/file-2"
touch -r "$source/big" "$tree/stamp"
sed -i 's/^500$/600/' "$source/big" # same size
touch -r "$tree/stamp" "$source/big" # and the same time
chmod 600 "$source/dir/file-3"
touch "$source/dir/file-4"
rm -r "$source/gone"
mkdir "$source/added"
echo y >"$source/added/y"
echo z >"$source/z.tmp"
ln -sfn dir "$source/link"
rm "$source/dir/file-5"
mkfifo "$source/dir/file-5"
mv "$source/dir/file-6" "$source/dir/moved"
[ $xattrs = no ] || setfattr -n user.colour -v red "$source/dir/file-1"
is 0 "with the live tree" d before
has "other content" "M f $source/dir/file-2  (content $(stat -c %s "$tree/before/dir/file-2") -> $(stat -c %s "$source/dir/file-2") bytes, mtime)"
has "other content with the same size and time" "M f $source/big  (content)"
has "another mode" "m f $source/dir/file-3  (mode 0644 -> 0600)"
has "another time only: the content was hashed" "m f $source/dir/file-4  (mtime)"
has "removed" "- f $source/gone/x"
has "added" "+ f $source/added/y"
has "another target" "M l $source/link  (target, mtime)"
has "another type" "M p $source/dir/file-5  (type f -> p)"
has "moved: from" "- f $source/dir/file-6"
has "moved: to" "+ f $source/dir/moved"
[ $xattrs = no ] || has "another attribute" "m f $source/dir/file-1  (xattrs)"
says_not "what the policy leaves out is not there" 'z\.tmp|not\.tmp'
bkd_paths >"$tree/bkd"
rsync_paths "$tree/before" | grep -v '\.tmp$' >"$tree/rsync"
if cmp -s "$tree/bkd" "$tree/rsync"; then ok "the list is rsync's ($(wc -l <"$tree/rsync") names)"; else diff "$tree/bkd" "$tree/rsync" >"$tree/out"; bad "the list is rsync's"; fi
cp "$tree/bkd" "$tree/all"
is 1 "--exit-code" d before --exit-code
is 0 "--stat" d before --stat
is 0 "is one line" test "$(wc -l <"$tree/out")" = 1
is 0 "only some PATHs" d before "$source/added" "$source/gone/"
is 0 "list those" test "$(grep -c '^[-+]' "$tree/out")" = 4
is 2 "a PATH that is not absolute" d before live added
is 0 "--json" d before --json
says "has lines of changes" '"type":"change".*"change":"metadata".*"differs":\["mode"\],"mode":\{"from":"0644","to":"0600"\}'
says "and a summary" '"type":"summary".*"live":true,"added":3,"removed":3,'

# --- the same by another backup
is 0 "a second backup" backup
is 9 "the manifest of the first lies encrypted in the repository" d before
says "says so" 'give an identity with -i FILE'
is 0 "with an identity, the live tree" key before
bkd_paths | cmp -s - "$tree/all" && ok "differs in the same" || bad "differs in the same"
is 0 "two snapshots" key before latest
bkd_paths | cmp -s - "$tree/all" && ok "differ in the same" || bad "differ in the same"
is 0 "the newest and the live tree" d latest --exit-code
[ $xattrs = no ] || setfattr -n user.colour -v blue "$source/dir/file-1"
is 0 "an attribute that was put back" key before "$source/dir/file-1" --exit-code

# --- without the caches of this host
rm -rf "$state/policies"
is 0 "without caches nothing differs from the newest" key latest "$source/dir/file-2" "$source/big" --exit-code
is 0 "and before by size and time" key before
says_not "which do not show everything" '/big'
is 0 "--content reads everything" key before --content
has "and shows it" "M f $source/big  (content)"

is 2 "a path in no source is a mistake" key before /nowhere/at/all
says "and said to be" "in no source of policy"

# --- what cannot be read
if [ "$(id -u)" != 0 ]; then
    chmod 0 "$source/dir/file-7"
    is 3 "a file that cannot be read is told" key before --content
    says "by name" 'file-7.*cannot be compared'
    chmod 644 "$source/dir/file-7"
fi

# --- of what is mostly holes there is no hash of the whole
host holes '{recipients: recipients.txt}'
run_bkd init p >"$tree/out" 2>&1
{ echo data; head -c 3000000 /dev/zero | tr '\0' x; } >"$source/image"
truncate -s 300M "$source/image"
backup >"$tree/out" 2>&1
is 0 "by content it is the same" d latest --content --exit-code
touch -r "$source/image" "$tree/times"
for offset in 2 200000000; do # in data, in a hole
    cp --sparse=always --preserve "$source/image" "$tree/image"
    printf X | dd of="$source/image" bs=1 seek=$offset conv=notrunc 2>/dev/null
    touch -r "$tree/times" "$source/image"
    is 0 "by size and time it is the same, as bkd(1) says" d latest --exit-code
    is 0 "by content it is another, at $offset" d latest --content
    has "and shown" "M f $source/image  (content)"
    cp --sparse=always --preserve "$tree/image" "$source/image"
done
is 0 "put back it is the same" d latest "$source/image" --content --exit-code
rm -rf "$state/policies"
is 3 "without the pieces it cannot be compared" key latest --content
says "which is told" 'image.*cannot be compared: it is mostly holes'
finish
