#!/bin/sh
# Ten nights of random edits, inserts, truncations, moves of files and directories, deletions, type changes, changes of metadata and hard links on some
# thousands of real files; each night restores byte for byte, times and modes included, in random order. Compared by rsync and find. Prints TAP.
# BKD_BIN is the directory of bkd and bkd-restore; BKD_SEED=N: another sequence; BKD_NIGHTS=N; BKD_FILES=N: at least so many files (3000).
. "$(dirname "$0")/lib.sh"
nights=${BKD_NIGHTS:-10}
files=${BKD_FILES:-3000}
echo "# seed $seed"

# Real files, as many as wanted, with what real trees have: links, deep directories, large files.
fill() {
    for dir in /usr/share/doc /usr/share/zoneinfo /usr/share/perl /usr/include /usr/lib/python3* /usr/share /usr/lib; do
        [ "$(find "$source" -type f | wc -l)" -lt "$files" ] || break
        [ -d "$dir" ] || continue
        mkdir -p "$source$dir"
        (cd "$dir" && find . -xdev \( -type f -o -type l -o -type d \) -size -16M -print0 | head -z -n "$files" | tar -c --null --no-recursion -T - -f - 2>/dev/null) |
            tar -x -C "$source$dir" -f - 2>/dev/null
    done
    seq 1 3000000 >"$source/database" # 23 MB: two pieces
    head -c 9000000 /dev/urandom >"$source/volume"
    truncate -s 30M "$source/sparse"
    seq 1 9999 | dd of="$source/sparse" bs=4096 seek=3000 conv=notrunc status=none
    mkfifo "$source/fifo"
    printf x >"$source/$(printf 'new\nline %% \377')"
}

# One night: all choices in one awk, which writes a shell script, so that they are quick and depend on the seed alone.
night() {
    (cd "$source" && find . -type f ! -name '*
*' -printf 'f %s %p\n' -o -type d ! -path . ! -name '*
*' -printf 'd 0 %p\n' -o -type l -printf 'l 0 %p\n') | sort | awk -v seed=$((seed + $1 * 7919)) -v night="$1" '
    function quote(s) { gsub(/\047/, "\047\\\047\047", s); return "\047" s "\047" }
    function pick(list, n) { return list[1 + int(rand() * n)] }
    BEGIN { srand(seed) }
    $1 == "f" { p = $0; sub(/^f [0-9]+ /, "", p); f[++nf] = p; size[p] = $2 }
    $1 == "d" { p = $0; sub(/^d 0 /, "", p); d[++nd] = p }
    $1 == "l" { p = $0; sub(/^l 0 /, "", p); l[++nl] = p }
    function noise(n) { return "head -c " n " /dev/urandom" }
    END {
        for (i = 0; i < nf * 0.08 + 20; i++) {
            p = pick(f, nf); q = quote(p); s = size[p]; r = rand(); at = int(rand() * (s + 1))
            if (r < .20) print noise(1 + int(rand() * 5000)) " | dd of=" q " bs=1M oflag=seek_bytes seek=" at " conv=notrunc"        # overwritten
            else if (r < .32) print "{ head -c " at " " q "; " noise(1 + int(rand() * 900)) "; tail -c +" at + 1 " " q "; } > .t && cat .t > " q "; rm -f .t" # inserted
            else if (r < .40) print "truncate -s " at " " q
            else if (r < .46) print noise(1 + int(rand() * 3000)) " >> " q
            else if (r < .58) print "mv -f " q " " quote(p ".moved" night)
            else if (r < .64) print "mv -f " q " " quote(pick(d, nd))
            else if (r < .74) print "rm -f " q
            else if (r < .78) print "rm -f " q "; ln -s night-" night " " q                                    # another type
            else if (r < .81) print "rm -f " q "; mkdir " q "; : > " quote(p "/inside")
            else if (r < .84) print "chmod " (rand() < .5 ? "0640" : "4755") " " q
            else if (r < .87) print "touch -h -d @" int(rand() * 2000000000) "." 100000000 + int(rand() * 899999999) " " q
            else if (r < .90) print "chown -h " int(rand() * 3000) ":" int(rand() * 3000) " " q
            else if (r < .94) print "ln " q " " quote(p ".link" night)
            else if (r < .97) print "cp -p " q " " quote(p ".copy" night)
            else print "setfattr -n user.night -v " night " " q
        }
        for (i = 0; i < 6; i++) {
            p = pick(d, nd); q = quote(p); r = rand()
            if (r < .35) print "mv -T " q " " quote(p "-moved" night)
            else if (r < .5) print "mv " q " ."
            else if (r < .6 && gsub(/\//, "/", p) > 3) print "rm -rf " q
            else if (r < .7) print "chmod 1775 " q
            else if (r < .8) print "mkdir -p " quote(p "/new" night "/deep") "; seq 1 " night * 1000 " > " quote(p "/new" night "/deep/file")
            else print "touch -d @" int(rand() * 2000000000) " " q
        }
        for (i = 0; i < 3; i++) { p = pick(l, nl); print "ln -sfn elsewhere" night " " quote(p) }
        for (i = 0; i < 40; i++) print noise(4096) " | dd of=./database bs=4096 seek=" int(rand() * 5000) " conv=notrunc"
        print noise(100000) " | dd of=./volume bs=1M oflag=seek_bytes seek=" int(rand() * 8000000) " conv=notrunc"
        print "seq " night " 5000 | dd of=./sparse bs=4096 seek=" int(rand() * 7000) " conv=notrunc"
    }' >"$tree/edits"
    sh -n "$tree/edits" || bad "the edits of night $1 are a script"
    (cd "$source" && sh "$tree/edits" >/dev/null 2>&1) # some hit what an earlier edit of the night removed
}

# The same for rsync (content by checksum, all metadata) and for find (nanoseconds, counts of links)?
same() { # NIGHT RESTORED
    rsync -aHAXn --checksum --delete --itemize-changes "$tree/night-$1/" "$2/" >"$tree/out" 2>&1
    find "$tree/night-$1" -printf '%P %y %m %U %G %T@ %l\n' | sort >"$tree/a"
    find "$2" -printf '%P %y %m %U %G %T@ %l\n' | sort >"$tree/b"
    find "$tree/night-$1" ! -type d -printf '%P %s %n\n' | sort >>"$tree/a"
    find "$2" ! -type d -printf '%P %s %n\n' | sort >>"$tree/b"
    diff "$tree/a" "$tree/b" | head -n 20 >>"$tree/out"
    [ ! -s "$tree/out" ]
}

[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP needs root: owners are changed and compared"; exit 0; }
host h '{recipients: recipients.txt}' 'delta: {min_size: 64KiB}'
fill
echo "# $(find "$source" -type f | wc -l) files, $(du -sm "$source" | cut -f 1) MiB"
run_bkd init p >"$tree/out" 2>&1
n=1
while [ "$n" -le "$nights" ]; do
    [ "$n" = 1 ] || night "$n"
    is 0 "night $n is backed up" backup
    [ "$(field complete)" = true ] || bad "night $n is complete"
    echo "# changed $(field changed_files), moved $(field moved_files), gone $(field gone_files); stored $(field bytes_stored) in $(field duration_ms) ms"
    mkdir "$tree/night-$n"
    cp -a "$source/." "$tree/night-$n"
    n=$((n + 1))
done
is 0 "check --read-data" run_bkd check p --read-data -i "$config/keys/operations.txt"
for n in $(seq 1 "$nights" | awk -v seed="$seed" 'BEGIN { srand(seed) } { print rand() " " $0 }' | sort | cut -d ' ' -f 2); do
    is 0 "night $n restores" restore "$n"
    if same "$n" "$tree/restored$source"; then ok "night $n is the same for rsync and find"; else bad "night $n is the same for rsync and find"; fi
done
finish
