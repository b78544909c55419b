#!/bin/sh
# A restore cut off 20 times, by kill -9 and by Ctrl-C at random moments, and resumed, ends identical; and whenever it was cut off, every file
# with a final name is whole. Compared by find, sha256sum and rsync. Also: markers, part files taken up, options that differ, a power loss, names that stood there before. TAP.
. "$(dirname "$0")/lib.sh"
cuts=${BKD_CUTS:-20}
host h none
run_bkd init p >"$tree/out" 2>&1

mkdir -p "$source/dirs" "$source/closed"
i=0
while [ $i -lt 60 ]; do
    d="$source/dirs/$((i % 7))/$i"
    mkdir -p "$d"
    k=0
    while [ $k -lt 25 ]; do echo "$i $k" >"$d/$k"; k=$((k + 1)); done
    ln -s "$i" "$d/link"
    i=$((i + 1))
done
head -c 50000000 /dev/urandom >"$source/image"
head -c 20000000 /dev/urandom >"$source/second"
truncate -s 60M "$source/sparse" && head -c 100000 /dev/urandom | dd of="$source/sparse" bs=1M seek=33 conv=notrunc 2>/dev/null
ln "$source/second" "$source/dirs/same" && ln "$source/dirs/1/1/1" "$source/dirs/twin"
mkfifo -m 600 "$source/fifo"
echo closed >"$source/closed/in" && chmod 4711 "$source/closed/in" && chmod 500 "$source/closed"
find "$source" -depth -exec touch -h -d '2024-03-01 10:00:00.123456789' {} +
backup >"$tree/out" 2>&1 || { bad "the snapshot"; finish; }

target=$tree/target
clear_target() { [ ! -e "$target" ] || { chmod -R u+rwx "$target" && rm -rf "$target"; }; }
# Files with their final names, as they must be: sum, mode, time, size.
files_of() {
    (cd "$1" && find . -name '.bkd-*' -prune -o -type f -printf '%p %m %T@ %s\n' | LC_ALL=C sort
     find . -name '.bkd-*' -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum | LC_ALL=C sort)
}
same() { rsync -aHAXSn --checksum --delete --itemize-changes "$source/" "$target$source/" >"$tree/out" 2>&1 && [ ! -s "$tree/out" ] && [ "$(find "$target" -name '.bkd-*')" = "" ]; }
files_of "$source" | LC_ALL=C sort >"$tree/whole"

# How long it takes uncut.
start=$(date +%s%N)
is 0 "uncut" recover restore latest --target "$target" -q
length=$((($(date +%s%N) - start) / 1000000 + 20))
if same; then ok "uncut: identical"; else bad "uncut differs"; fi
clear_target

# cut SIGNAL MILLISECONDS [OPTION…]: starts a restore and ends it.
cut_off() {
    signal=$1 after=$2
    shift 2
    "$BKD_BIN/bkd-restore" -r "$repo" -i "$config/keys/operations.txt" -s "$config/keys/allowed_signers" restore latest --target "$target" "$@" \
        >"$tree/out" 2>&1 </dev/null &
    pid=$!
    sleep "$((after / 1000)).$(printf %03d $((after % 1000)))"
    kill -"$signal" $pid 2>/dev/null
    status=0
    wait $pid 2>/dev/null || status=$?
}
torn=0 ended=0 was_cut=0 said=0 interrupts=0
n=0
while [ $was_cut -lt "$cuts" ] && [ $n -lt $((cuts * 3)) ]; do
    n=$((n + 1))
    resume=--resume
    [ "$(find "$target" -maxdepth 1 -name '.bkd-restore-*' 2>/dev/null)" = "" ] && resume=
    if [ -e "$target" ] && [ -z "$resume" ] && [ "$(find "$target" -mindepth 1 -maxdepth 1 2>/dev/null)" != "" ]; then # it ended before it was cut
        ended=$((ended + 1))
        clear_target
    fi
    draw $((length / 8 + 40)) # so that one restore takes many cuts
    [ $((n % 4)) = 0 ] && signal=INT || signal=KILL
    cut_off $signal $drawn $resume
    if [ $status != 0 ]; then was_cut=$((was_cut + 1)); fi
    if [ $signal = INT ] && [ $status = 1 ]; then
        interrupts=$((interrupts + 1))
        grep -q -- '--resume' "$tree/out" && said=$((said + 1))
    fi
    [ -d "$target$source" ] || continue
    files_of "$target$source" | LC_ALL=C sort | LC_ALL=C comm -23 - "$tree/whole" >"$tree/torn"
    [ ! -s "$tree/torn" ] || { torn=$((torn + 1)); cp "$tree/torn" "$tree/out"; }
done
echo "# $was_cut cuts, $interrupts of them by Ctrl-C; a restore ended $ended times and was begun anew"
if [ $torn = 0 ]; then ok "after each cut every file with a final name is whole, with its mode and time"; else bad "$torn times a file was torn"; fi
[ $was_cut = "$cuts" ] && ok "$cuts cuts met a running restore" || bad "only $was_cut of $n cuts met one"
[ $said = $interrupts ] && ok "each Ctrl-C said how to go on" || bad "$said of $interrupts"
if [ "$(find "$target" -maxdepth 1 -name '.bkd-restore-*' 2>/dev/null)" != "" ]; then
    is 0 "resumed to the end" recover restore latest --target "$target" --resume --json
else
    is 0 "restored to the end" recover restore latest --target "$target" --json
fi
if same; then ok "identical, by rsync; nothing of ours is left"; else bad "differs"; fi
is 2 "then there is nothing to resume" recover restore latest --target "$target" --resume
says "which is said" "nothing to resume"

# Part files of large files are taken up: what they hold is not fetched again.
clear_target
large_part() { find "$target" -name '.bkd-part-*' -printf '%k\n' 2>/dev/null | awk '$1 > 17000 { found = 1 } END { exit !found }'; } # a piece of it is there
tries=0
while [ $tries -lt 10 ] && ! large_part; do
    tries=$((tries + 1))
    clear_target
    "$BKD_BIN/bkd-restore" -r "$repo" -s "$config/keys/allowed_signers" restore latest --target "$target" -j 1 >"$tree/out" 2>&1 </dev/null &
    pid=$!
    looks=0
    while [ $looks -lt 3000 ] && kill -0 $pid 2>/dev/null && ! large_part; do looks=$((looks + 1)); done
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
done
if large_part; then
    is 2 "without --resume" recover restore latest --target "$target"
    says "it says how to go on" "restore latest --target .*--resume"
    is 2 "with other options" recover restore latest --target "$target" --resume --overwrite always
    says "it says which" "other options"
    is 0 "with --resume" recover restore latest --target "$target" --resume --json
    kept=$(field bytes_kept)
    [ "$kept" -gt 0 ] && ok "$kept bytes of part files were kept" || bad "nothing was kept"
    if same; then ok "identical"; else bad "differs"; fi
else
    ok "# SKIP no kill met a large file"
fi

# A power loss, as the marker sees it: the boot is another, and a file that had its name is empty.
clear_target
tries=0
while [ $tries -lt 30 ]; do
    tries=$((tries + 1))
    draw $length
    cut_off KILL $drawn
    [ -s "$target$source/dirs/0/0/3" ] && [ "$(find "$target" -maxdepth 1 -name '.bkd-restore-*' 2>/dev/null)" != "" ] && break
    clear_target
done
marker=$(find "$target" -maxdepth 1 -name '.bkd-restore-*' 2>/dev/null)
[ "$marker" != "" ] || { bad "no kill met the files"; finish; }
sed -i 's/^boot .*/boot 00000000-0000-0000-0000-000000000000/' "$marker"
for f in 3 4; do
    touch -r "$target$source/dirs/0/0/$f" "$tree/stamp"
    [ $f = 3 ] && : >"$target$source/dirs/0/0/3" || printf 'xxx\n' | head -c "$(stat -c %s "$target$source/dirs/0/0/4")" | dd of="$target$source/dirs/0/0/4" conv=notrunc 2>/dev/null
    touch -r "$tree/stamp" "$target$source/dirs/0/0/$f"
done
is 0 "resumed after a power loss" recover restore latest --target "$target" --resume
if same; then ok "what the power loss tore is whole again"; else bad "differs"; fi

# Names that were there before stay what they are, also when resumed.
clear_target
mkdir -p "$target$source/dirs/0" && chmod 711 "$target$source/dirs/0" && echo mine >"$target$source/fifo" && touch -d @99 "$target$source/dirs/0"
mkdir -p "$target$source/dirs/3" && echo other >"$target$source/dirs/3/other"
tries=0
while [ $tries -lt 10 ]; do
    tries=$((tries + 1))
    cut_off KILL $((length * tries / 8))
    [ "$(find "$target" -maxdepth 1 -name '.bkd-restore-*' 2>/dev/null)" != "" ] && [ -e "$target$source/dirs" ] && break
done
is 3 "resumed where something stood" recover restore latest --target "$target" --resume
[ "$(cat "$target$source/fifo")" = mine ] && [ "$(stat -c %a "$target$source/dirs/0")" = 711 ] && ok "it still stands, with its own mode" || bad "changed"
[ "$(stat -c '%a %Y' "$target$source/closed")" = "$(stat -c '%a %Y' "$source/closed")" ] && ok "directories that were made have their metadata" || bad "directories"

# What goes on is copied from the terminal as it stands, whatever the names are.
clear_target
target="$tree/my \$HOME's target"
tries=0 command=
while [ $tries -lt 20 ] && [ "$command" = "" ]; do
    tries=$((tries + 1))
    clear_target
    draw $((length / 2 + 40))
    cut_off INT $drawn
    command=$(sed -n 's/.* Go on with: //p' "$tree/out")
done
is 0 "what Ctrl-C said to go on with, given to a shell" sh -c "$command"
if same; then ok "went on with it to the end"; else bad "differs"; fi
finish
