#!/bin/sh
# bkd-restore find: versions of paths over several nights, ranges, times, what is damaged. Prints TAP.
# shellcheck source=tests/scenario/lib.sh
. "${BKD_SOURCE:-$(dirname "$0")/../..}/tests/scenario/lib.sh"

# exact TITLE LINE…: snapshots and paths (relative to the source) of what the last command listed.
exact() {
    title=$1
    shift
    : >"$tree/wanted"
    [ $# = 0 ] || printf '%s\n' "$@" >"$tree/wanted"
    awk -v source="$source" 'NR > 1 && index($0, source) { path = $0; sub(/.* \//, "/", path); print $1, substr(path, length(source) + 1) }' "$tree/out" >"$tree/seen"
    if cmp -s "$tree/wanted" "$tree/seen"; then ok "$title"; else diff "$tree/wanted" "$tree/seen" | sed 's/^/# /'; bad "$title"; fi
}

host find '{recipients: recipients.txt}'
run_bkd init p >"$tree/out" 2>&1
mkdir -p "$source/a/b"
echo one >"$source/a/report.txt"
echo other >"$source/b.txt"
ln -s report.txt "$source/a/link"
touch -d '2020-01-01 00:00:00' "$source/b.txt"
is 0 "night 1" backup
is 0 "night 2, nothing new" backup
echo two >"$source/a/report.txt"
is 0 "night 3, a file changed" backup
mv "$source/a/report.txt" "$source/a/b/report.txt"
ln -sfn elsewhere "$source/a/link"
is 0 "night 4, it moved" backup
mv "$source/a/b/report.txt" "$source/a/report.txt"
is 0 "night 5, it is back" backup

is 0 "find by name" recover find report.txt
exact "each version with its snapshots, by path, the newest first" "4 /a/b/report.txt" "5 /a/report.txt" "3 /a/report.txt" "1-2 /a/report.txt"
says "with the content's SHA-256" "^ +1-2 -  +4 B +.* $(printf 'one\n' | sha256sum | cut -c1-12)  $source/a/report.txt"
is 0 "find by a pattern with a place" recover find "$source/a/*.txt"
exact "means that directory" "5 /a/report.txt" "3 /a/report.txt" "1-2 /a/report.txt"
is 0 "find a link" recover find link
exact "whose target changed" "4-5 /a/link" "1-3 /a/link"
is 0 "find a directory" recover find b/
says_not "does not mean what lies below" report
is 0 "two patterns" recover find b.txt link
exact "find what either matches" "4-5 /a/link" "1-3 /a/link" "1-5 /b.txt"
is 0 "older" recover find '*.txt' --older 2020-01-02
exact "than a day" "1-5 /b.txt"
is 0 "newer" recover find '*.txt' --newer 2020-01-02T00:00:00Z --snapshots 1..2
exact "than a time" "1-2 /a/report.txt"
is 0 "a range" recover find report.txt --snapshots latest~3..3
exact "of snapshots" "3 /a/report.txt" "2 /a/report.txt"
is 0 "one snapshot" recover find report.txt --snapshots latest
exact "alone" "5 /a/report.txt"
is 0 "from one on" recover find report.txt --snapshots 4..
exact "to the newest" "4 /a/b/report.txt" "5 /a/report.txt"
is 0 "--json" recover find report.txt --json
says "has an object a version" '"type":"version","schema":1,"path":"'"$source"'/a/report.txt","entry_type":"f","size":4,"mtime":"[0-9.]+","sha256":"[0-9a-f]{64}","chain":"[0-9a-f]{32}","first_snapshot":1,"last_snapshot":2,"snapshots":2'
if [ "$(field versions) $(field snapshots_searched)" = "4 5" ]; then ok "and a summary"; else bad "and a summary"; fi

is 1 "what is nowhere" recover find '*.none'
says "says so" "nothing in 5 snapshots matches"
is 2 "a bad pattern" recover find 'a**'
is 2 "a backward range" recover find x --snapshots 4..2
is 2 "a bad time" recover find x --newer yesterday
is 1 "a range without snapshots" recover find x --snapshots 77..
is 2 "no pattern" recover find

# A version found is what restore gets.
restore 1 "$source/a/report.txt" >"$tree/out" 2>&1
printf 'one\n' >"$tree/wanted"
is 0 "the oldest version restores" cmp "$tree/wanted" "$tree/restored$source/a/report.txt"

# The manifest of night 4 is gone: the others are searched, exit 4.
object=$(find "$repo/objects" -type f -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
chmod u+w "$object"
printf 'XXXX' | dd of="$object" bs=1 seek=100 conv=notrunc 2>/dev/null
is 4 "damage in the newest snapshot" recover find report.txt
says "is told" "snapshot 5 was not searched"
exact "and the others are searched" "4 /a/b/report.txt" "3 /a/report.txt" "1-2 /a/report.txt"

finish
