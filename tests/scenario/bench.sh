#!/bin/sh
# scripts/bench speed on a handful of tiny files, without tools that would have to be installed: a table, JSON and a page; a restore that is not equal is told.
. "$(dirname "$0")/lib.sh"

if [ -z "${BKD_SOURCE:-}" ] || ! command -v python3 >/dev/null || [ ! -x /usr/bin/time ]; then
    ok "bench # SKIP needs the sources, python3 and time"
    finish
fi
bench() { sh "$BKD_SOURCE/scripts/bench" speed --work "$tree" --fs none --rounds 1 --tiny 300 --tools 'bkd,tar|zstd|age' "$@"; }
results=$tree/results
is 0 "a small comparison" bench --only W4.first,W4.restore --results "$results" --json "$tree/json" --html "$tree/html"
says "bkd's restore was equal" '^W4.restore  *bkd .* yes$'
says "the pipe's, too" '^W4.restore  *tar\|zstd\|age .* yes$'
says "marks are judged" '^W4.first  *time .* 1 .* tar\|zstd\|age  *[0-9.]+  (met|MISSED)$'
is 0 "all of it as JSON" jq -e '[.jobs[] | select(.tool == "bkd") | .wall_s > 0 and .rss_mib > 1] == [true, true] and .failures == []' "$tree/json"
is 0 "and as a page" grep -q 'W4, tiny files: restore of everything' "$tree/html"
is 0 "shown again" bench --results "$results" --report
says "with the same jobs" '^W4.restore  *bkd '
mkdir "$tree/bin"
ln -s "$BKD_BIN/bkd" "$tree/bin/bkd"
printf '#!/bin/sh\n"%s/bkd-restore" "$@" || exit\nfor last; do :; done\nf=$(find "$last" -name "*.txt" | head -n 1)\necho more >>"$f"\n' "$BKD_BIN" >"$tree/bin/bkd-restore"
chmod 755 "$tree/bin/bkd-restore"
is 1 "a restore with other bytes" env BKD_BIN="$tree/bin" sh "$BKD_SOURCE/scripts/bench" speed --work "$tree" --fs none --rounds 1 --tiny 100 --tools bkd --only W4.restore
says "is told" '^FAILED: W4.restore, bkd, round 1: .*differences'
printf '#!/bin/sh\necho "$*" >>"%s/asked"\nexec "%s/bkd-restore" "$@"\n' "$tree" "$BKD_BIN" >"$tree/bin/bkd-restore"
printf '#!/bin/sh\necho "sync $*" >>"%s/asked"\nexec /bin/sync "$@"\n' "$tree" >"$tree/bin/sync"
chmod 755 "$tree/bin/sync"
ending() { rm -f "$tree/asked"; env PATH="$tree/bin:$PATH" BKD_BIN="$tree/bin" sh "$BKD_SOURCE/scripts/bench" speed --work "$tree" --fs none --rounds 1 --tiny 20 --tools bkd --only W4.restore "$@"; }
asked() { sed -n "/ restore .* --no-sync/{s/.*/cached/p;d}; s/.* restore .*/restore/p; s/^sync -f .*/sync/p" "$tree/asked" | tr "\n" " "; }
is 0 "restores as each tool ends them" ending
is 0 "nobody but the tool waits for the disk" test "$(asked)" = "restore "
is 0 "restores until they are on the disk" ending --restores durable
is 0 "which is waited for behind each" test "$(asked)" = "restore sync "
is 0 "restores until all is written" ending --restores cached
is 0 "which the tool is told" test "$(asked)" = "cached "
is 0 "another tool begins in each round" env PYTHONPATH="$BKD_SOURCE/scripts/bench.d/speed" PYTHONDONTWRITEBYTECODE=1 python3 -c '
import tools
assert ["".join(tools.in_turn(list("abc"), n)) for n in (1, 2, 3, 4)] == ["abc", "bca", "cab", "abc"] and tools.in_turn([], 2) == []'
is 2 "a job that is none" bench --only W9
is 2 "a slow disk, and no disk" bench --slow-disk 20M --fs tmpfs
finish
