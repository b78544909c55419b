#!/bin/sh
# bkd backup is killed at 50 random moments: during first, delta and unchanged backups. After each: nothing partial is listed, earlier snapshots
# restore, the next run succeeds; a killed first backup goes on where it was. Prints TAP. BKD_BIN is the directory of bkd and bkd-restore;
# BKD_SEED=N repeats another sequence, BKD_KILLS=N changes the number.
. "$(dirname "$0")/lib.sh"
kills=${BKD_KILLS:-50}

# A tree of which a whole object (128 MiB) is stored before the end: random bytes, a table, some real files.
fill() {
    mkdir -p "$source/real"
    head -c 140000000 /dev/urandom >"$source/disk.img"
    seq 1 2000000 >"$source/table"
    for dir in /usr/share/doc/lib[a-c]* /usr/include/linux; do [ ! -d "$dir" ] || cp -a "$dir" "$source/real/"; done
    head -c 12000000 /dev/urandom >"$source/zz-last.img"
}
# Another night: blocks changed in the image, lines in the table, a few files new, moved and gone.
edit() {
    for k in 1 2 3 4 5; do
        draw 34000
        head -c 4096 /dev/urandom | dd of="$source/disk.img" bs=4096 seek="$drawn" conv=notrunc status=none
    done
    seq "$1" 7 $((200000 + $1)) >>"$source/table"
    mkdir -p "$source/new-$1/sub"
    seq 1 "$1" >"$source/new-$1/sub/file"
    [ ! -d "$source/new-$(($1 - 3))" ] || mv "$source/new-$(($1 - 3))" "$source/moved-$1"
    rm -rf "$source/moved-$(($1 - 2))"
}
now_ms() { date +%s%3N; }
seconds() { printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)); }

# killed LONGEST-MS: a backup that gets SIGKILL within that time, or ends before. $ended: killed, done or an exit code. (timeout(1) does not wait
# for what it kills, so that the lock may still be held when it ends.)
killed() {
    draw $(($1 + 1))
    ended=0
    (exec "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p --json) >"$tree/out" 2>&1 &
    victim=$!
    sleep "$(seconds "$drawn")"
    kill -KILL $victim 2>/dev/null
    wait $victim 2>/dev/null || ended=$?
    case $ended in
    0) ended=done ;;
    137) ended=killed ;;
    esac
}
# Nothing but what was there, or one more when the kill came after the commit.
listed_right() { # BEFORE
    listed=$(snapshots)
    [ "$listed" = "$1" ] || [ "$listed" = $(($1 + 1)) ] || return 1
    listed_to_restorer=$(recover list --json 2>>"$tree/out" | grep -c '"state":"good"')
    [ "$listed_to_restorer" = "$listed" ]
}
same_as_night() { # SNAPSHOT
    restore "$1" >"$tree/out" 2>&1 || return 1
    listing "$tree/restored$source" | cmp -s - "$tree/listing-$1" && return 0
    listing "$tree/restored$source" | diff - "$tree/listing-$1" | head -n 5 >>"$tree/out"
    return 1
}
note_nights() { # FROM: all snapshots from this number on are of the source as it is now
    listing "$source" >"$tree/now"
    k=$1
    while [ "$k" -le "$(snapshots)" ]; do
        cp "$tree/now" "$tree/listing-$k"
        k=$((k + 1))
    done
}

host h '{recipients: recipients.txt}'
fill
run_bkd init p >"$tree/out" 2>&1
cp -a "$repo" "$tree/fresh"
started=$(now_ms)
is 0 "a first backup" backup
whole_ms=$(($(now_ms) - started))
whole_stored=$(field bytes_stored)
started=$(now_ms)
is 0 "an unchanged backup" backup
unchanged_ms=$(($(now_ms) - started))
echo "# a first backup: $whole_ms ms, $whole_stored bytes stored; an unchanged one: $unchanged_ms ms"

# --- first backups ---------------------------------------------------------------------------------------------------------
round=0
problems=0
resumed=0
while [ $round -lt $((kills * 3 / 10)) ]; do
    round=$((round + 1))
    rm -rf "$repo" "$state"
    cp -a "$tree/fresh" "$repo"
    killed "$whole_ms"
    listed_right 0 || { bad "first backup, kill $round ($ended after $drawn ms): $listed snapshots are listed"; problems=$((problems + 1)); }
    before=$listed
    objects=$(find "$repo/objects" -type f 2>/dev/null | wc -l)
    backup >"$tree/out" 2>&1 || { bad "first backup, kill $round: the next run"; problems=$((problems + 1)); }
    if [ "$before" = 0 ] && [ "$objects" -gt 0 ]; then
        if [ "$(field resumed)" = true ] && [ "$(field bytes_stored)" -lt "$whole_stored" ]; then resumed=$((resumed + 1)); else
            bad "first backup, kill $round: $objects objects were finished, but it did not go on from there"
            problems=$((problems + 1))
        fi
    fi
    note_nights 1
    same_as_night 1 || { bad "first backup, kill $round: snapshot 1 restores"; problems=$((problems + 1)); }
done
[ $problems != 0 ] || ok "first backup killed $round times: nothing partial listed, the next run succeeds and restores"

# One that certainly had an object finished.
rm -rf "$repo" "$state"
cp -a "$tree/fresh" "$repo"
(exec "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p) >"$tree/out" 2>&1 &
child=$!
while [ -z "$(find "$repo/objects" -type f 2>/dev/null)" ] && kill -0 $child 2>/dev/null; do sleep 0.01; done
kill -KILL $child 2>/dev/null
wait $child 2>/dev/null
if [ "$(snapshots)" = 0 ]; then
    is 0 "killed after its first object: the next run" backup
    if [ "$(field resumed)" = true ] && [ "$(field bytes_stored)" -lt $((whole_stored / 2)) ]; then
        ok "it went on where it was: $(field bytes_stored) of $whole_stored bytes stored"
    else
        bad "it did not go on where it was: $(field bytes_stored) of $whole_stored bytes stored, resumed $(field resumed)"
    fi
else
    bad "the backup ended before it could be killed"
fi
note_nights 1
echo "# $((resumed + 1)) first backups went on where they were"

# --- nights with changes, then without -------------------------------------------------------------------------------------
rounds() { # TITLE COUNT LONGEST-MS EDIT
    problems=0
    k=0
    while [ $k -lt "$2" ]; do
        k=$((k + 1)) round=$((round + 1))
        [ "$4" = no ] || edit $((round * 10))
        before=$(snapshots)
        killed "$3"
        listed_right "$before" || { bad "$1, kill $round ($ended after $drawn ms): $listed snapshots are listed instead of $before"; problems=$((problems + 1)); }
        case $ended in killed | done) ;; *) bad "$1, kill $round: exit $ended"; problems=$((problems + 1)) ;; esac
        draw "$before"
        same_as_night $((drawn + 1)) || { bad "$1, kill $round: snapshot $((drawn + 1)) restores"; problems=$((problems + 1)); }
        backup >"$tree/out" 2>&1 || { bad "$1, kill $round: the next run"; problems=$((problems + 1)); }
        note_nights $((before + 1))
    done
    [ $problems != 0 ] || ok "$1 killed $2 times: nothing partial listed, an earlier snapshot restores, the next run succeeds"
}
edit 5
started=$(now_ms)
backup >"$tree/out" 2>&1 || bad "a night with changes"
delta_ms=$(($(now_ms) - started))
note_nights 2
rounds "a night with changes" $((kills * 4 / 10)) "$delta_ms" yes
rounds "a night without changes" $((kills - kills * 3 / 10 - kills * 4 / 10)) "$unchanged_ms" no

# --- all that is listed ----------------------------------------------------------------------------------------------------
k=1 problems=0 all=$(snapshots)
while [ $k -le "$all" ]; do
    same_as_night $k || { bad "snapshot $k of $all restores in the end"; problems=$((problems + 1)); }
    k=$((k + 1))
done
[ $problems != 0 ] || ok "all $all snapshots restore in the end: content, types, modes, owners, times, links"
is 0 "check" run_bkd check p
finish
