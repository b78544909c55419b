#!/bin/sh
# What a restore must leave whole although its options are strong: the repository itself, what is mounted in a directory that is in the way; and
# restores by those who may not write above what they restore.
. "$(dirname "$0")/lib.sh"

host machine none
mkdir "$source/dir"
echo file >"$source/file"
echo inner >"$source/dir/inner"
: >"$source/empty"
is 0 "init" run_bkd init p
is 0 "a night" backup
strip=$(echo "$source" | tr -cd / | wc -c)
whole() { (cd "$1" && find . ! -path './tmp*' -type f -exec sha256sum {} + | sort -k 2); }
whole "$repo" >"$tree/whole"
still_whole() { whole "$repo" >"$tree/now" && cmp "$tree/whole" "$tree/now"; }

# The repository as the target.
is 2 "the repository as target of an exact mirror" recover restore latest "$source" --strip-components "$strip" --target "$repo" --overwrite always --delete --yes
says "is refused, with both names" "target '$repo' is inside the repository '$repo'"
is 2 "a directory of it" recover restore latest "$source" --strip-components "$strip" --target "$repo/objects" --overwrite always --delete --yes
is 2 "a directory to be made in it" recover restore latest --target "$repo/objects/new/one"
is 2 "a rehearsal of it" recover restore latest --target "$repo/objects/new/one" --dry-run
ln -s "$repo" "$tree/link"
is 2 "through a link" recover restore latest --target "$tree/link/heads/new"
is 0 "and it is whole" still_whole

# Two sources whose names would be one.
mkdir -p "$source/a/same" "$source/b/same" && echo a >"$source/a/same/name" && echo b >"$source/b/same/name" && echo c >"$source/b/same/more"
is 0 "two directories with the same names" backup
is 2 "stripped to one name" recover restore latest "$source/a" "$source/b" --strip-components $((strip + 1)) --target "$tree/one" --overwrite always
says "they are refused, with both names" "'$source/a/same/name' and '$source/b/same/name' one name, 'same/name'"
[ ! -e "$tree/one" ] && ok "nothing was written" || bad "written"
is 2 "a rehearsal says so too" recover restore latest "$source/a" "$source/b" --strip-components $((strip + 1)) --target "$tree/one" --dry-run
is 0 "without one of them the directories may meet" recover restore latest "$source/a" "$source/b" --exclude "$source/b/same/name" --strip-components $((strip + 1)) --target "$tree/one"
[ -e "$tree/one/same/name" ] && [ -e "$tree/one/same/more" ] && ok "in one" || bad "meeting"
whole "$repo" >"$tree/whole"

# The repository in a directory that stands where the snapshot has a file.
rm "$source/file" && mkdir "$source/file" && mv "$repo" "$source/file/repository" && echo mine >"$source/file/mine"
repo=$source/file/repository
is 3 "the repository in a directory that is in the way" recover restore latest "$source" --in-place --overwrite always --delete --yes
says "is told" "the repository lies there"
is 0 "it is whole" still_whole
[ -e "$source/file/mine" ] && ok "and what stands beside it as well" || bad "beside it"
mv "$repo" "$tree/machine/repository" && repo=$tree/machine/repository
if [ "$(id -u)" = 0 ] && mkdir "$source/file/mnt" && mount -t tmpfs none "$source/file/mnt" 2>/dev/null; then
    is 3 "a mount in a directory that is in the way" recover restore latest "$source" --in-place --overwrite always --delete --yes
    says "is told" "something is mounted there"
    [ -e "$source/file/mine" ] && ok "nothing of the directory is gone" || bad "half of it is gone"
    umount "$source/file/mnt"
else
    ok "# SKIP mounts need root"
fi
is 0 "then it gives way" recover restore latest "$source" --in-place --overwrite always --delete --yes --verify
[ -f "$source/file" ] && [ -f "$source/empty" ] && ok "to the file; an empty file stands the test of reading again" || bad "file"

# Above what is restored others rule.
cp "$config/keys/allowed_signers" "$tree/signers"
user() { $as "$BKD_BIN/bkd-restore" -r "$repo" -s "$tree/signers" "$@"; }
as=
if [ "$(id -u)" = 0 ]; then
    as="setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/"
    chown -R 65534:65534 "$source"
    is 0 "what a user owns is backed up" backup
    chmod 755 "$tree" "$tree/machine" && chmod -R go+rX "$repo" "$tree/signers"
fi
echo changed >"$source/file"
is 0 "a user rehearses in place, where / is another's" user restore latest "$source" --in-place --overwrite if-changed --dry-run
is 0 "and restores in place" user restore latest "$source" --in-place --overwrite if-changed
echo file >"$tree/wanted"
is 0 "what was changed" cmp "$source/file" "$tree/wanted"
is 1 "TMPDIR that is not there" env TMPDIR="$tree/none" "$BKD_BIN/bkd-restore" -r "$repo" -s "$tree/signers" ls latest
says "is named" "TMPDIR '$tree/none'"

# An object that holds the manifest and is damaged elsewhere.
cp -a "$repo" "$tree/damaged"
for object in "$tree"/damaged/objects/*/*; do printf XXXX | dd of="$object" bs=1 seek=$(($(stat -c %s "$object") / 2)) conv=notrunc 2>/dev/null; done
is 4 "damage" "$BKD_BIN/bkd-restore" -r "$tree/damaged" -s "$tree/signers" restore latest --target "$tree/d"
says "comes with what goes on" "error: .*--keep-going.*bkd-restore check"

# What the policy left out is not deleted, nor what cannot be told from it.
printf 'exclude: ["*.cache"]\n' >>"$config/policies/p.yaml"
mkdir "$source/half" "$source/full" && touch "$source/half/x.cache" "$source/half/kept" "$source/full/kept"
is 0 "a night that leaves something out" backup
touch "$source/half/new" "$source/full/new"
is 0 "an exact mirror" recover restore latest "$source" --in-place --overwrite if-changed --delete --yes
[ -e "$source/half/x.cache" ] && [ -e "$source/half/new" ] && [ ! -e "$source/full/new" ] && ok "spares directories that are not in the snapshot whole" || bad "left out"
says "and says so" "1 directories held something that the policy left out \\(--delete removes nothing in them"

# Rights that stood there before do not outlive --untrusted.
if [ "$(id -u)" = 0 ] && setfattr -n trusted.right -v 1 "$source/full/kept" 2>/dev/null && mknod "$source/full/null" c 1 3; then
    is 0 "a night with rights and a device" backup
    is 0 "a rehearsal with --untrusted" recover restore latest "$source" --in-place --overwrite if-changed --untrusted --dry-run
    says "leaves the device out" "full/null' stripped: a device"
    says_not "and lists it as nothing to make" "^(create|leave|replace) .*full/null"
    is 0 "--untrusted over the same" recover restore latest "$source" --in-place --overwrite if-changed --untrusted --verify
    says "lists what it takes away" "full/kept' stripped: trusted.right"
    getfattr -n trusted.right "$source/full/kept" >"$tree/out" 2>&1 && bad "the right is still there" || ok "and does"
else
    ok "# SKIP rights and devices need root"
fi

# Output that is not all there.
if [ -w /dev/full ]; then
    is 1 "a list onto a full disk" sh -c "'$BKD_BIN/bkd-restore' -r '$repo' -s '$tree/signers' ls latest >/dev/full"
    says "is no success" "standard output"
    is 1 "of the other program as well" sh -c "'$BKD_BIN/bkd' --config-dir '$config' --state-dir '$state' snapshots p >/dev/full"
fi
finish
