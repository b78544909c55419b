#!/bin/sh
# A change that went wrong: a tagged backup that is held, then edits, deletions, additions, other types, modes, owners, ACLs; bkd rollback puts it all
# back, which rsync, find and getfacl say against a copy. And what it must not touch. Prints TAP. BKD_BIN is the directory of bkd and bkd-restore.
. "$(dirname "$0")/lib.sh"

root=no
[ "$(id -u)" != 0 ] || root=yes
roll() { run_bkd rollback p "$@" -i "$config/keys/operations.txt"; }
# Everything that a tree says of itself, by tools that are not bkd's.
facts() {
    listing "$1"
    (cd "$1" && find . ! -type d ! -type l -links +1 -printf '%i %p\n' | sort -k2 | awk '{ if (!($1 in n)) n[$1] = ++k; print n[$1], $2 }')
    (cd "$1" && { getfacl -R -P -n . 2>/dev/null; getfattr -R -P -h -d -m - -e hex . 2>/dev/null; })
}
same() { # TITLE COPY [TREE]
    facts "$2" >"$tree/facts-a"
    facts "${3-$source}" >"$tree/facts-b"
    if cmp -s "$tree/facts-a" "$tree/facts-b"; then ok "$1"; else diff "$tree/facts-a" "$tree/facts-b" | head -n 12 >"$tree/out"; bad "$1"; fi
    rsync -aHAXn --modify-window=-1 --checksum --delete --itemize-changes "$2/" "${3-$source}/" >"$tree/out" 2>&1
    if [ -s "$tree/out" ]; then bad "$1, by rsync"; else ok "$1, by rsync"; fi
}
has() { if grep -Fq -- "$2" "$tree/out"; then ok "$1"; else bad "$1"; fi; }

a_tree() { # below $1
    mkdir -p "$1/app/etc/conf.d" "$1/app/var/empty" "$1/data"
    for i in $(seq 1 30); do seq "$i" 400 >"$1/app/etc/conf.d/file-$i"; done
    seq 1 300000 >"$1/data/table"
    head -c 700000 /dev/urandom >"$1/data/random"
    truncate -s 20M "$1/data/sparse"
    printf end | dd of="$1/data/sparse" bs=1 seek=15000000 conv=notrunc 2>/dev/null
    printf 'one\n' >"$1/app/linked"
    ln "$1/app/linked" "$1/app/etc/linked"
    ln "$1/app/linked" "$1/data/linked"
    ln -s etc/conf.d "$1/app/current"
    mkfifo "$1/app/var/fifo"
    printf x >"$1/app/$(printf 'odd\nname \377%%20\\')"
    printf x >"$1/app/-rf"
    chmod 750 "$1/app/etc"
    chmod 4755 "$1/app/etc/conf.d/file-9"
    setfattr -n user.colour -v blue "$1/app/etc/conf.d/file-1" 2>/dev/null
    setfacl -m u:12345:rw "$1/app/etc/conf.d/file-2" 2>/dev/null
    setfacl -d -m g:54321:rx "$1/app/etc" 2>/dev/null
    [ $root = no ] || chown -h 12:34 "$1/app/etc/conf.d/file-3" "$1/app/current"
    [ $root = no ] || mknod "$1/app/var/null" c 1 3
    touch -d '1960-01-01 00:00:00.25' "$1/app/etc/conf.d/file-4"
}
# What upgrades do. Every kind of difference, and many at once.
the_change() { # below $1
    echo upgraded >>"$1/app/etc/conf.d/file-1"
    setfattr -n user.colour -v red "$1/app/etc/conf.d/file-1" 2>/dev/null
    setfattr -n user.new -v x "$1/app/etc/conf.d/file-10" 2>/dev/null
    setfacl -b "$1/app/etc/conf.d/file-2" 2>/dev/null
    setfacl -m u:777:r "$1/app/etc/conf.d/file-11" 2>/dev/null
    setfacl -k "$1/app/etc" 2>/dev/null
    [ $root = no ] || chown -h 0:0 "$1/app/etc/conf.d/file-3" "$1/app/current"
    touch "$1/app/etc/conf.d/file-4"
    chmod 777 "$1/app/etc/conf.d/file-5" "$1/app/etc"
    chmod 755 "$1/app/etc/conf.d/file-9"
    rm "$1/app/etc/conf.d/file-6"
    rm "$1/app/etc/conf.d/file-7"
    mkdir "$1/app/etc/conf.d/file-7"
    echo inner >"$1/app/etc/conf.d/file-7/inner"
    ln -sf /etc/passwd "$1/app/etc/conf.d/file-8"
    rm -r "$1/app/var/empty"
    echo file >"$1/app/var/empty"
    mv "$1/app/etc/conf.d/file-12" "$1/app/moved"
    ln -sfn var "$1/app/current"
    rm "$1/app/var/fifo"
    printf y >"$1/app/$(printf 'odd\nname \377%%20\\')"
    rm "$1/app/-rf"
    rm "$1/app/etc/linked"
    printf 'two\n' >"$1/app/etc/linked"
    printf 'changed' | dd of="$1/data/table" bs=1 seek=100000 conv=notrunc 2>/dev/null
    printf 'hole' | dd of="$1/data/sparse" bs=1 seek=3000000 conv=notrunc 2>/dev/null
    touch -r "$1/data/random" "$tree/stamp"
    printf 'sly' | dd of="$1/data/random" bs=1 seek=500 conv=notrunc 2>/dev/null
    touch -r "$tree/stamp" "$1/data/random" # same size, same time
    mkdir "$1/app/new"
    echo n >"$1/app/new/file"
    echo n >"$1/app/etc/new.conf"
}

# --- before the change
host change '{recipients: recipients.txt}' 'exclude: ["*.cache", "/app/spool/"]'
a_tree "$source"
mkdir "$source/app/spool"
echo mail >"$source/app/spool/mail"
is 0 "init" run_bkd init p
is 0 "a backup before the change" backup --tag change-1234 --hold
cp -a "$source" "$tree/before"
sleep 0.05
the_change "$source"
echo c >"$source/app/new/x.cache"
cp -a "$source" "$tree/after"

# --- looking, and what stops it
is 0 "--dry-run" run_bkd rollback p change-1234 --dry-run
has "shows other content" "M f $source/app/etc/conf.d/file-1  (content"
has "and a mode" "(mode 0644 -> 0777)"
has "and what is gone" "- f $source/app/etc/conf.d/file-6"
has "and what has come" "+ f $source/app/new/file"
says "and counts" '^Since snapshot 1 of .*: [0-9]+ added .*, [0-9]+ removed .*, [0-9]+ modified .*, [0-9]+ with other metadata'
same "and changes nothing" "$tree/after"
is 9 "without an identity" run_bkd rollback p change-1234 --yes
says "it says where to get one" 'bring operations.txt from the host that restores'
is 2 "without --yes there is nobody to ask" roll change-1234
says "and it says so" 'look with --dry-run, then give --yes'
is 2 "a PATH that no source holds" roll change-1234 --yes /etc
is 1 "a PATH that is nowhere" roll change-1234 --yes "$source/nowhere"
is 1 "an unknown tag" roll change-12345 --yes
age-keygen 2>/dev/null >"$tree/other.txt"
chmod 600 "$tree/other.txt"
is 9 "another's identity" run_bkd rollback p change-1234 --yes -i "$tree/other.txt"
is 0 "no snapshot was made by any of these" test "$(snapshots)" = 1
same "and nothing changed" "$tree/after"
if command -v script >/dev/null; then
    answer() { printf '%s\n' "$1" | script -qec "'$BKD_BIN/bkd' --config-dir '$config' --state-dir '$state' rollback p change-1234 -i '$config/keys/operations.txt' '$source/app/-rf'" /dev/null; }
    is 1 "asked on a terminal: no" answer n
    says "the question" 'Put [0-9]+ entries back to snapshot 1\? \[y/N\]'
    same "leaves all as it is" "$tree/after"
fi

# --- one path
is 0 "one path" roll change-1234 --yes "$source/app/etc/conf.d/file-6" "$source/app/-rf"
says "tells the tag of what was there" 'has the tag before-rollback-[0-9]{8}T[0-9]{6}\.[0-9]{3}Z'
is 0 "brings that back" cmp "$source/app/etc/conf.d/file-6" "$tree/before/app/etc/conf.d/file-6"
is 0 "and nothing else" cmp "$source/app/etc/conf.d/file-1" "$tree/after/app/etc/conf.d/file-1"

# --- all of it, what was added stays
is 3 "a directory that holds something new cannot become a file" roll change-1234 --yes
says "it says what to do" 'still differ.*--delete'
is 0 "what was added is still there" cmp "$source/app/new/file" "$tree/after/app/new/file"
is 0 "and the rest is back" cmp "$source/data/random" "$tree/before/data/random"
# --- with what was added removed
is 3 "with --delete" roll change-1234 --yes --delete
says "what the policy leaves out holds its directory" "app/new' was not removed: it holds something that the policy leaves out"
is 0 "it is there" test -f "$source/app/new/x.cache"
rm -r "$source/app/new"
touch -r "$tree/before/app" "$source/app"
same "everything is as it was" "$tree/before"
is 0 "and bkd says so" run_bkd diff p change-1234 -i "$config/keys/operations.txt" --exit-code
is 0 "again: nothing to do" roll change-1234 --yes --delete
says "says so" 'nothing to put back'
before=$(snapshots)
is 0 "check" run_bkd check p
is 0 "the snapshot is still held" sh -c "'$BKD_BIN/bkd' --config-dir '$config' --state-dir '$state' snapshots p | grep -q 'change-1234  held'"

# --- undoing the rollback, by the tag it left; without another snapshot
tag=$(run_bkd snapshots p --json | sed -n 's/.*"tags":\["\(before-rollback-[^"]*\)"\].*/\1/p' | head -n 1)
is 0 "the rollback undone" roll "$tag" --yes --delete --no-backup --json
says "a summary" '"type":"summary".*"saved_as":null.*"complete":true'
is 0 "no snapshot was made" test "$(snapshots)" = "$before"
touch -r "$tree/after/app/new" "$tree/stamp"
rm "$tree/after/app/new/x.cache" # which no snapshot has
touch -r "$tree/stamp" "$tree/after/app/new"
same "all is as the change left it" "$tree/after"

# --- the worst change
mv "$source" "$tree/aside"
is 0 "all is gone" run_bkd diff p change-1234 -i "$config/keys/operations.txt"
says "says so, and what it may be" 'is not there \(is its disk mounted\?\)'
says_not "but not of the way to it" "^- d $tree\$"
is 1 "there is nothing to save" roll change-1234 --yes
says "which takes a word" 'all disks are mounted, go without with --no-backup'
is 0 "without saving" roll change-1234 --yes --no-backup
touch -r "$tree/before/app" "$tree/stamp"
rm -rf "$tree/before/app/spool" # the policy leaves it out: no snapshot has it
touch -r "$tree/stamp" "$tree/before/app"
same "all that was stored is back" "$tree/before"
rm -rf "$source"
mv "$tree/aside" "$source"
rm -rf "$source/app/spool"

# --- what cannot be saved or restored
is 0 "another change" sh -c "echo z >>'$source/data/table'"
mv "$config/keys/signing" "$tree/signing"
is 9 "what is there cannot be saved first" roll change-1234 --yes
says "so nothing was done" 'nothing was rolled back'
mv "$tree/signing" "$config/keys/signing"
cp -a "$source" "$tree/now"
same "which is so" "$tree/now"
mkdir "$tree/alone"
cp "$BKD_BIN/bkd" "$tree/alone/"
is 1 "no bkd-restore at hand" env PATH=/usr/bin:/bin "$tree/alone/bkd" --config-dir "$config" --state-dir "$state" rollback p change-1234 --yes -i "$config/keys/operations.txt"
says "says so" 'no bkd-restore beside bkd or in PATH'
printf '#!/bin/sh\necho $$ >"%s"\nexec sleep 60\n' "$tree/child" >"$tree/alone/bkd-restore"
chmod 755 "$tree/alone/bkd-restore"
(exec "$tree/alone/bkd" --config-dir "$config" --state-dir "$state" rollback p change-1234 --yes -i "$config/keys/operations.txt") >"$tree/out" 2>&1 &
running=$!
for try in $(seq 100); do [ -s "$tree/child" ] && break; sleep 0.1; done
kill -TERM $running
is 1 "told to stop" wait $running
is 1 "it does not leave the restore running behind it" alive "$(cat "$tree/child")"
cp -a "$repo" "$tree/whole"
for object in $(find "$repo/objects" -type f -size +100k); do
    chmod u+w "$object"
    for at in $(seq 5 20 "$(($(stat -c %s "$object") / 1000))"); do printf XXXX | dd of="$object" bs=1000 seek="$at" conv=notrunc 2>/dev/null; done
done
is 4 "damaged objects" roll change-1234 --yes --no-backup
says "are no success" 'did not do it|is damaged|do not have the SHA-256'
rm -rf "$repo"
mv "$tree/whole" "$repo"
is 0 "with a whole repository it goes on, by blocks" roll change-1234 --yes --delete --in-place-delta
same "to the end" "$tree/before"

# --- a repository that is not encrypted takes no identity
host open none
seq 1 1000 >"$source/file"
is 0 "open: init" run_bkd init p
is 0 "open: a backup" backup --tag good
cp -a "$source" "$tree/open-before"
echo bad >>"$source/file"
is 0 "open: rollback" run_bkd rollback p good --yes
same "open: all is back" "$tree/open-before"

# --- what no snapshot has as it is now is not lost
host spared none
mkdir -p "$source/cache" "$source/log [1]"
for file in f.log g cache/c 'log [1]/* x.log'; do echo then >"$source/$file"; done
is 0 "spared: init" run_bkd init p
is 0 "spared: a backup" backup --tag good
echo 'exclude: ["*.log", "cache/"]' >>"$config/policies/p.yaml"
for file in f.log g cache/c 'log [1]/* x.log'; do echo "only now" >"$source/$file"; done
is 0 "spared: --dry-run names what is left out by now" run_bkd rollback p good --dry-run
says "and why it stays" "f.log' stays as it is: the policy leaves out what is there now"
echo "only now" >"$tree/only-now"
is 3 "spared: rollback" run_bkd rollback p good --yes
is 0 "what the policy leaves out by now is as it was" sh -c 'cat "$1/f.log" "$1/cache/c" "$1/log [1]/"* | sort -u | cmp - "$2"' - "$source" "$tree/only-now"
is 0 "the rest is back" grep -q then "$source/g"
is 3 "spared: named as PATH" run_bkd rollback p good "$source/f.log" --yes
is 0 "it is as it was" grep -q now "$source/f.log"
is 3 "spared: --no-backup puts it back, too, though a comparison by the policy does not see it" run_bkd rollback p good --yes --no-backup "$source/f.log"
is 0 "which is so" grep -q then "$source/f.log"
mkdir "$source/mount"
echo then >"$source/mount/file"
is 0 "spared: a snapshot before something is mounted" backup --tag unmounted
if [ $root = yes ] && mount -t tmpfs tmpfs "$source/mount" 2>/dev/null; then
    is 3 "spared: rollback, where something is mounted by now" run_bkd rollback p unmounted --yes
    says "names it" "/mount' stays as it is"
    is 0 "nothing was written there" test -z "$(ls -A "$source/mount")"
    umount "$source/mount"
    is 0 "nor below it" grep -q then "$source/mount/file"
else
    ok "spared: mounts # SKIP only root can mount"
fi
if [ $root = yes ]; then
    nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups env TMPDIR="$tree/scratch" "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" "$@"; }
    host unread none
    chmod 755 "$tree" "$tree/unread"
    mkdir -m 1777 "$tree/scratch"
    echo then >"$source/mine"
    echo then >"$source/later"
    echo then >"$source/locked"
    chmod 600 "$source/locked"
    chown -R nobody: "$tree/unread"
    chown root: "$source/locked"
    if nobody init p >"$tree/out" 2>&1; then
        is 3 "unread: a backup that cannot read all" nobody backup p --tag good
        chown root: "$source/later"
        chmod 600 "$source/later"
        echo "only now" >"$source/later"
        echo now >"$source/mine"
        is 3 "unread: rollback --delete" nobody rollback p good --yes --delete
        says "tells what it could not save" "locked' stays as it is: it could not be saved"
        is 0 "what was never saved is there" grep -q then "$source/locked"
        is 0 "what cannot be saved is as it was" grep -q 'only now' "$source/later"
        is 0 "the rest is back" grep -q then "$source/mine"
    else
        ok "unread: rollback # SKIP nobody cannot run $BKD_BIN/bkd"
    fi
fi

# --- a repository on a server: records are appended there, and the child finds its way
. "$(dirname "$0")/sshd.sh"
if sshd_available; then
    sshd_start rollback "Subsystem sftp internal-sftp"
    host server '{recipients: recipients.txt}'
    sshd_keys "$config/keys"
    url="sftp://$sshd_user@127.0.0.1:$sshd_port$sshd_dir/repo"
    sed -i "s|^repository: .*|repository: {url: '$url', ssh: {identity: ssh_ed25519, known_hosts: known_hosts}}|" "$config/policies/p.yaml"
    is 0 "server: its key is pinned" run_bkd trust-host p --fingerprint "$(ssh-keygen -lf "$sshd_dir/host.pub" | cut -d' ' -f2)"
    seq 1 1000 >"$source/file"
    is 0 "server: init" run_bkd init p
    is 0 "server: a backup that is held" backup --tag good --hold
    cp -a "$source" "$tree/server-before"
    echo bad >>"$source/file"
    is 0 "server: rollback" roll good --yes
    same "server: all is back" "$tree/server-before"
    ssh-keygen -q -p -N 'a word' -f "$config/keys/ssh_ed25519" >"$tree/out" 2>&1
    sed -i "s|known_hosts: known_hosts}|known_hosts: known_hosts, passphrase_command: [echo, a word]}|" "$config/policies/p.yaml"
    echo worse >>"$source/file"
    is 0 "server: rollback with a key whose passphrase a command gives" roll good --yes
    same "server: all is back again" "$tree/server-before"
    is 0 "server: release" run_bkd release p good
    is 0 "server: check" run_bkd check p
else
    ok "server: rollback # SKIP $sshd_missing"
fi
finish
