#!/bin/sh
# Where a run goes: exclude rules of all sources and of one, checked against `git check-ignore`; marking files, sizes, the nodump flag; mounts of
# every kind (as root); rules that change between runs; what `bkd ls-source` says of all this. Prints TAP. BKD_BIN is the directory of bkd and
# bkd-restore.
. "$(dirname "$0")/lib.sh"

mounted=
cleanup_mounts() { for m in $mounted; do umount "$m" 2>/dev/null || umount -l "$m" 2>/dev/null; done; }
trap 'cleanup_mounts; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT
mount_at() { # TARGET MOUNT-ARGUMENT…
    at=$1
    shift
    mkdir -p "$at" && mount "$@" "$at" 2>"$tree/err" && mounted="$at $mounted"
}
policy() { # the lines of the policy, with the source's own lines indented
    { printf 'sources:\n  - path: %s\n' "$source"; cat; printf 'repository: %s\nencryption: none\n' "$repo"; } >"$config/policies/p.yaml"
}
ls_source() { run_bkd ls-source p "$@"; }
taken() { ls_source --json >"$tree/json" 2>"$tree/err"; sed -n 's/^{"type":"entry".*"path":"\([^"]*\)".*/\1/p' "$tree/json" | sed -n "s|^$source||p" | sort; }
left_out() { ls_source --json --excluded >"$tree/json" 2>"$tree/err"; sed -n 's/^{"type":"excluded".*"path":"\([^"]*\)".*"reason":"\([^"]*\)".*/\1 \2/p' "$tree/json" | sed "s|^$source||" | sort; }
same() { # TITLE WANTED GOT-COMMAND…
    title=$1 wanted=$2
    shift 2
    "$@" >"$tree/out"
    if [ "$(cat "$tree/out")" = "$wanted" ]; then ok "$title"; else bad "$title"; fi
}
in_snapshot() { run_bkd ls p "${1:-latest}" "$source" --json 2>"$tree/err" | sed -n 's/^{"type":"entry".*"path":"\([^"]*\)".*/\1/p' | sed "s|^$source||" | sort; }
manifest_line() { run_bkd ls p latest "$source/$1" --json 2>/dev/null | head -n 1; }
tag='Signature: 8a477f597d28d172789f06886806bc55'

# --- patterns, against git -------------------------------------------------------------------------------------------------
host patterns none
mkdir -p "$source/a/b/c" "$source/cache/x" "$source/a/cache" "$source/log/old" "$source/doc/build" "$source/build"
for f in a/1.tmp a/keep.tmp a/b/2.o a/b/c/foo.txt cache/x/y a/cache/kept log/1 log/audit.log log/old/2 doc/build/html build/out doc/a.txt 'sp ace' '#hash' \
    '!bang' 'tr ' a/b/x.o a/b/c/x.o '[x]' x.OLD; do echo "$f" >"$source/$f"; done
cat >"$tree/patterns.txt" <<'END'
*.tmp
!keep.tmp
/cache/
/log/*
!/log/audit.log
doc/**/build/
**/b/*.o
build/out
\#hash
\!bang
tr\ 
[[]x]
*.[Oo][Ll][Dd]
END
half=6
quoted() { sed 's/\\/\\\\/g; s/^/      - "/; s/$/"/'; }
policy <<END
    exclude:
$(tail -n +$((half + 1)) "$tree/patterns.txt" | quoted)
exclude:
$(head -n $half "$tree/patterns.txt" | quoted)
END
is 0 "the policy" run_bkd policy check "$config/policies/p.yaml"
is 0 "init" run_bkd init p
is 0 "a backup" backup
if command -v git >/dev/null; then
    cp -a "$source" "$tree/git"
    git -C "$tree/git" init -q 2>/dev/null
    cp "$tree/patterns.txt" "$tree/git/.gitignore"
    wanted=$(cd "$tree/git" && git ls-files --others --exclude-standard -z | tr '\0' '\n' | grep -v '^.gitignore$' | sed 's|^|/|' | sort)
    files() { taken | while read -r f; do [ ! -f "$source$f" ] || echo "$f"; done; }
    same "ls-source takes what git would" "$wanted" files
    snapshot_files() { in_snapshot | while read -r f; do [ ! -f "$source$f" ] || echo "$f"; done; }
    same "and so does the backup" "$wanted" snapshot_files
else
    ok "against git # SKIP no git"
fi
run_bkd ls-source p --excluded >"$tree/out" 2>&1
says "which rule of which line, of all sources" 'f +[0-9]+ .*/a/1.tmp  exclude "\*.tmp", line 12$'
says "and of one" 'f +[0-9]+ .*/#hash  exclude "\\\\#hash", line 6$'
says "a directory is named once" '^d +- .*/cache  exclude "/cache/", line 14$'
says_not "not what lies below it" '/cache/x'
is 1 "of a path that is left out" ls_source "$source/cache/x/y"
says "it says why" "$source/cache' is left out: exclude \"/cache/\", line 14"
is 0 "of one that is taken" ls_source "$source/a/keep.tmp"
says "only this one" '^p: 1 entries, 1 files'
relative() { (cd "$source/a" && ls_source .//keep.tmp/); }
is 0 "a relative path" relative
says "is one of the working directory" '^p: 1 entries, 1 files'
is 2 "a path with .." ls_source "$source/a/../a/keep.tmp"
is 1 "of one that is not there" ls_source "$source/a/nothing"
is 1 "of one that no source holds" ls_source /nowhere
is 2 "an unknown policy" run_bkd ls-source nix

# --- marking files, sizes, nodump; hard links to what is left out; a socket ------------------------------------------------
host rules none
mkdir -p "$source/cache/sub" "$source/false" "$source/private" "$source/own"
echo x | tee "$source/cache/a" "$source/cache/sub/b" "$source/false/a" "$source/private/a" "$source/own/a" >"$source/plain"
echo "$tag" >"$source/cache/CACHEDIR.TAG"
echo 'Signature: none' >"$source/false/CACHEDIR.TAG"
: >"$source/private/.nobackup"
: >"$source/own/.skip"
truncate -s 10M "$source/ten"
truncate -s 10485761 "$source/over"
echo linked >"$source/one"
ln "$source/one" "$source/two.tmp"
ln "$source/one" "$source/three"
policy <<'END'
exclude: ["*.tmp"]
exclude_if_present: [".nobackup", "CACHEDIR.TAG"]
exclude_larger_than: 10MiB
END
is 0 "init" run_bkd init p
same "ls-source: what is left out" "/cache marker
/over size
/private marker
/two.tmp pattern" left_out
is 0 "a backup" backup
says "it counts by reason" '"excluded":\{"pattern":1,"size":1,"nodump":0,"marker":2,'
same "the snapshot holds what ls-source said" "$(taken)" in_snapshot
noted() { run_bkd ls p latest "$source" --json 2>"$tree/err" | sed -n 's/^{"type":"entry".*"path":"\([^"]*\)".*"excluded":true.*/\1/p' | sed "s|^$source|.|"; }
same "directories of which something was left out say so" ".
./cache
./private" noted
in_cache() { in_snapshot | grep ^/cache; }
same "of marked directories themselves and the marking file" "/cache
/cache/CACHEDIR.TAG" in_cache
restore latest >"$tree/out" 2>&1
if [ "$(stat -c %i "$tree/restored$source/one")" = "$(stat -c %i "$tree/restored$source/three")" ] && [ ! -e "$tree/restored$source/two.tmp" ] &&
    cmp -s "$source/three" "$tree/restored$source/three"; then ok "hard links without the name that was left out"; else bad "hard links without the name that was left out"; fi
policy <<'END'
    exclude: ["!two.tmp"]
    exclude_if_present: [".skip"]
    exclude_larger_than: none
exclude: ["*.tmp"]
exclude_if_present: [".nobackup", "CACHEDIR.TAG"]
exclude_larger_than: 10MiB
END
same "what a source says itself holds instead" "/own marker" left_out
is 0 "a backup with other rules" backup
same "what was left out is there" "$(taken)" in_snapshot
restore latest >"$tree/out" 2>&1
rm "$tree/restored$source/own/.skip" && cp -a "$source" "$tree/copy" && rm "$tree/copy/own/a" "$tree/copy/own/.skip"
touch -r "$source/own" "$tree/copy/own" "$tree/restored$source/own"
listing "$tree/copy" >"$tree/a"
listing "$tree/restored$source" >"$tree/b"
is 0 "and restores" diff "$tree/a" "$tree/b"
if [ "$(id -u)" = 0 ] && command -v rdiff >/dev/null; then
    is 0 "by hand, too" env BKD_SIGNERS="$config/keys/allowed_signers" sh "$repo/recover.sh" "$repo" none latest "$tree/hand"
    : >"$tree/hand$source/own/.skip" && rm "$tree/hand$source/own/.skip" && touch -r "$source/own" "$tree/hand$source/own"
    listing "$tree/hand$source" >"$tree/b"
    is 0 "with the same result" diff "$tree/a" "$tree/b"
else
    ok "by hand # SKIP needs root and rdiff"
fi
policy <<'END'
    exclude: ["*"]
END
is 0 "rules that leave everything out are no missing disk" backup
same "nothing is left in it" "" in_snapshot
policy </dev/null
is 0 "and back" backup
same "nothing says that it was left out" "" noted
same "all is there" "$(cd "$source" && find . | sed 's/^.//' | sort)" in_snapshot
if chattr +d "$source/plain" "$source/own" 2>/dev/null; then
    policy <<'END'
exclude_nodump: true
END
    same "the nodump flag" "/own nodump
/plain nodump" left_out
    chattr -d "$source/plain" "$source/own"
else
    ok "the nodump flag # SKIP no inode flags here"
fi
if command -v python3 >/dev/null; then
    python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$source/so" 2>/dev/null
fi
if [ -S "$source/so" ]; then
    policy </dev/null
    is 0 "a backup of a socket" backup
    if manifest_line so | grep -q '"kind":"s"'; then ok "it is recorded"; else bad "it is recorded"; fi
    restore latest >"$tree/out" 2>&1
    if [ ! -e "$tree/restored$source/so" ]; then ok "and not restored"; else bad "and not restored"; fi
else
    ok "a socket # SKIP no python3"
fi

# --- names, and places that cannot be read ---------------------------------------------------------------------------------
host names none
touch "$source/$(printf 'a\033[31m\nb')"
policy </dev/null
is 0 "names with control characters" ls_source
says "are escaped" '/a%1B\[31m%0Ab$'
if [ "$(id -u)" != 0 ]; then run_plainly=; else run_plainly="setpriv --reuid 65534 --regid 65534 --clear-groups"; fi
if [ -z "$run_plainly" ] || command -v setpriv >/dev/null; then
    chmod 755 "$tree" "$home" "$config" "$config/policies"
    mkdir "$source/closed" && chmod 0 "$source/closed"
    is 3 "a place that cannot be read" $run_plainly env HOME=/ TMPDIR=/tmp "$BKD_BIN/bkd" --config-dir "$config" ls-source p
    says "is told" "closed' cannot be read: Permission denied"
    is 3 "also with --json" $run_plainly env HOME=/ TMPDIR=/tmp "$BKD_BIN/bkd" --config-dir "$config" ls-source p --json
    says "in the summary" '"problems":1,"complete":false'
    chmod 700 "$source/closed"
fi

# --- mounts ----------------------------------------------------------------------------------------------------------------
host mounts none
mkdir -p "$source/data/in"
echo d >"$source/data/in/f"
if [ "$(id -u)" != 0 ] || ! mount_at "$source/tmpfs" -t tmpfs none; then
    ok "mounts # SKIP cannot mount"
    finish
fi
echo t >"$source/tmpfs/f"
mount_at "$source/bind" --bind "$source/data"
mount_at "$source/proc" -t proc none
mount_at "$source/sys" -t sysfs none || true
wanted="/bind filesystem
/proc filesystem
/sys filesystem
/tmpfs filesystem" all="/proc kernel
/sys kernel
/tmpfs memory"
image() { # TYPE: a file system of this type in a loop file, with one file, at $source/TYPE
    command -v "mkfs.$1" >/dev/null && truncate -s 300M "$tree/$1.img" && "mkfs.$1" -q "$tree/$1.img" >/dev/null 2>&1 &&
        mount_at "$source/$1" -o loop "$tree/$1.img" && echo f >"$source/$1/f" && wanted="$wanted
/$1 filesystem"
}
image ext4 || ok "ext4 on a loop file # SKIP $(tail -n 1 "$tree/err")"
image xfs || ok "xfs on a loop file # SKIP $(tail -n 1 "$tree/err")"
if image btrfs && command -v btrfs >/dev/null; then
    btrfs subvolume create "$source/btrfs/subvolume" >"$tree/out" 2>&1 && echo s >"$source/btrfs/subvolume/f"
else
    ok "btrfs on a loop file # SKIP $(tail -n 1 "$tree/err")"
fi
mkdir "$tree/lower" "$tree/upper" "$tree/work"
echo l >"$tree/lower/f"
if mount_at "$source/overlay" -t overlay -o "lowerdir=$tree/lower,upperdir=$tree/upper,workdir=$tree/work" none; then
    wanted="$wanted
/overlay filesystem"
fi
policy </dev/null
is 0 "init" run_bkd init p
is 0 "the policy's values" run_bkd policy show p
same "one_filesystem: other file systems, of the same device too" "$(echo "$wanted" | sort)" left_out
is 0 "a backup" backup
here="$(in_snapshot)"
is 0 "holds the mount points" sh -c 'for d in $2; do echo "$1" | grep -qx "$d" || exit 1; done' - "$here" "$(echo "$wanted" | cut -d' ' -f1)"
is 1 "and nothing below them" sh -c 'echo "$1" | grep -E "^/(bind|proc|sys|tmpfs|ext4|xfs|btrfs|overlay)/"' - "$here"
rm -rf "$tree/restored"
is 0 "a restore" recover restore latest --target "$tree/restored"
says "tells of them" '[0-9]+ mount points had not been entered by the backup'
if [ -d "$tree/restored$source/proc" ] && [ -d "$tree/restored$source/bind" ]; then ok "mount points are restored"; else bad "mount points are restored"; fi
policy <<'END'
one_filesystem: false
END
same "one_filesystem: false goes into all but kernel interfaces and memory" "$(echo "$all" | sort)" left_out
is 0 "a backup" backup
is 0 "all files are there" sh -c '
    here=$2; cd "$1" && find . -path ./proc -prune -o -path ./sys -prune -o -path ./tmpfs -prune -o -type f -print | sed s/^.// | while read -r f; do
        echo "$here" | grep -qxF "$f" || { echo "$f is missing"; exit 1; }; done' - "$source" "$(in_snapshot)"
if [ -d "$source/btrfs/subvolume" ]; then
    { printf 'sources: [%s/btrfs]\nrepository: %s\nencryption: none\n' "$source" "$repo"; } >"$config/policies/b.yaml"
    is 0 "a btrfs subvolume is another file system" run_bkd ls-source b --excluded
    says "as elsewhere" '^d +- .*/btrfs/subvolume  another file system: one_filesystem, the default$'
fi
{ printf 'sources: [%s/tmpfs]\nrepository: %s\nencryption: none\n' "$source" "$repo"; } >"$config/policies/t.yaml"
is 0 "a source on tmpfs" run_bkd ls-source t
says "is entered" '/tmpfs/f$'
{ printf 'sources: [%s/proc]\nrepository: %s\nencryption: none\n' "$source" "$repo"; } >"$config/policies/k.yaml"
is 2 "a source in proc is a mistake" run_bkd ls-source k
says "it says so" "source '$source/proc' is an interface of the kernel"
finish
