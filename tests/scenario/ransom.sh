#!/bin/sh
# Ransomware shows in the backup: a tree that age encrypts file by file is noticed, an honest upgrade is not; a suspect snapshot freezes retention until
# whoever has the retention key accepts it. Prints TAP. BKD_BIN is the directory of bkd and bkd-restore.
. "$(dirname "$0")/lib.sh"

# texts DIR N: files that compress, of 600 bytes to some 40 KB.
texts() {
    mkdir -p "$1"
    i=0
    while [ $i -lt "$2" ]; do
        draw 2000
        seq $((i + 1000)) $((i + 1120 + drawn * 4)) >"$1/file$i.txt"
        i=$((i + 1))
    done
}
age-keygen -o "$tree/thief.txt" 2>/dev/null
thief=$(age-keygen -y "$tree/thief.txt")
encrypt_in_place() { find "$1" -type f | while read -r f; do age -r "$thief" <"$f" >"$tree/enc" && cat "$tree/enc" >"$f"; done; }
encrypt_and_rename() { find "$1" -type f | while read -r f; do age -r "$thief" -o "$f.locked" "$f" && rm "$f"; done; }
figure() { sed -n "s/.*\"$1\":\([^,}]*\).*/\1/p" "$tree/out" | tail -n 1; }
suspects() { run_bkd snapshots p --json | grep -c '"suspect":true'; }

# --- an honest tree, then an honest upgrade -------------------------------------------------------------------------------------------
host honest none
texts "$source" 200
head -c 300000 /dev/urandom >"$source/film.mp4"
seq 1 200000 >"$source/big.log"
is 0 "init" run_bkd init p
is 0 "the first night, all of it new" backup
is 0 "a night without changes" backup
i=0
while [ $i -lt 60 ]; do sed -i 's/1/one/g' "$source/file$i.txt"; i=$((i + 1)); done
is 0 "an upgrade: 30 % of the files have another text" backup
says "is not suspect" '"suspect":false'
rm "$source"/file1?.txt
is 0 "some files removed" backup
for f in "$source"/file2?.txt; do gzip "$f"; done
is 0 "some files compressed" backup
mkdir "$source/moved"
mv "$source"/*.txt "$source/moved/"
is 0 "all moved to another directory" backup
is 0 "none of these is suspect" test "$(suspects)" = 0

# --- encrypted in place -------------------------------------------------------------------------------------------------------------
host inplace none
texts "$source" 120
cp "$(command -v age)" "$source/program"
is 0 "init" run_bkd init p
is 0 "a good night" backup
encrypt_in_place "$source"
is 4 "the night after ransomware" run_bkd backup p
says "says what was found" 'committed and marked suspect: (9[0-9]|100) % of the 121 files turned incompressible'
says "and what to do" 'bkd diff p 1 2 --stat.*bkd hold p 1.*bkd accept p 2'
is 0 "it is there all the same" test "$(snapshots)" = 2
grep -qx 'flags suspect' "$repo"/heads/*/2 && ok "its head says so" || bad "its head says so"
is 0 "snapshots" run_bkd snapshots p
says "says so" '^ +2 .*  suspect'
is 0 "bkd-restore list" recover list
says "says so, too" '^ +2 .*  suspect'
is 0 "the next night, unchanged, is not suspect itself" backup
is 0 "the snapshot before restores" restore 1
is 0 "and is readable" grep -q '^1000$' "$tree/restored$source/file0.txt"
is 9 "the host's own key cannot accept it" run_bkd accept p 2 --key "$config/keys/signing"
mv "$config/keys/retention" "$tree/retention"
is 9 "nor can a host without the retention key" run_bkd accept p 2
says "which says where it belongs" 'only it gives up protection'
is 0 "a snapshot that is not suspect" run_bkd accept p 1 --key "$tree/retention"
says "needs nothing" 'is not suspect'
is 0 "accept" run_bkd accept p 2 --key "$tree/retention" --reason "they were to be encrypted"
says "says what follows" 'is accepted: retention goes on'
is 0 "none is suspect any more" test "$(suspects)" = 0
is 0 "bkd-restore list" recover list
says "agrees" '^ +2 .*  good'
is 0 "check" run_bkd check p

# --- encrypted under other names, removed, wiped ------------------------------------------------------------------------------------
host renamed none
texts "$source" 100
is 0 "init" run_bkd init p
is 0 "a good night" backup
encrypt_and_rename "$source"
is 4 "encrypted under another name" run_bkd backup p
says "is noticed as that" '% of the 100 files turned incompressible'
host removed none 'guard: {gone: auto}'
texts "$source" 100
is 0 "init" run_bkd init p
is 0 "a good night" backup
rm "$source"/file[1-6]*.txt
is 4 "two thirds removed" run_bkd backup p --json
says "is noticed" '"suspect":true,"suspect_reason":"6[0-9] % of the 100 files are gone"'
texts "$source" 100
for f in "$source"/*.txt; do : >"$f"; done
is 4 "all emptied" run_bkd backup p
says "is noticed" 'files have other content'
host meant none
texts "$source" 100
is 0 "init" run_bkd init p
is 0 "a good night" backup
rm "$source"/file[1-6]*.txt
is 0 "meant, and said to be" backup --accept-source-change
host off none 'guard: off'
texts "$source" 30
is 0 "init" run_bkd init p
is 0 "a good night" backup
rm "$source"/file1*.txt "$source"/file2*.txt
is 0 "guard: off" backup

# --- the policy no longer names a source, the state is lost -----------------------------------------------------------------------------
host narrowed none
texts "$source/a" 20
texts "$source/b" 80
is 0 "init" run_bkd init p
is 0 "a good night" backup
sed -i "s#path: $source#path: $source/a#" "$config/policies/p.yaml"
is 0 "a source that is no longer named is not a loss" backup
host forgetful none
texts "$source" 100
is 0 "init" run_bkd init p
is 0 "a good night" backup
rm -rf "$state" "$source"/file[1-6]*.txt
is 4 "files gone, and the state directory with them" run_bkd backup p
says "shows in the numbers of the heads" '% of the 100 files are gone'
finish
