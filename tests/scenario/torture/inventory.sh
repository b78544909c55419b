# shellcheck shell=sh
# inventory DIR: everything about the files below DIR as text, by find, stat, getfattr, getfacl, lsattr and sha256sum, and $tool for the map of
# holes; so two trees are the same when their inventories are. Paths are relative. Sourced, with $tool set.

# NUL-terminated records become lines; within them a newline becomes \001 (names hold each, but no two of them differ only in that).
as_lines() { tr '\n\0' '\001\n'; }

# Names of one inode stand in one line.
partition() {
    find . ! -type d ! -type s -links +1 -printf '%i %P\0' | as_lines | sort | awk '
        $1 != inode { if (inode != "") print line; inode = $1; line = "linked:" }
        { sub(/^[0-9]+ /, ""); line = line " " $0 }
        END { if (inode != "") print line }' | sort
}

# Holes of more than 4 GiB are not read.
digests() {
    find . -type f -size -4194304k -execdir sha256sum -- {} + | sort # in each directory by itself: there is no limit to their depth
}

inventory() (
    cd "$1" || exit 1
    export LC_ALL=C
    echo '== type, mode, owner, group, size, links, time, target'
    find . \( -type d -printf '%P %y %m %U %G - - %T@\0' -o -type s -printf '' -o -type l -printf '%P %y %m %U %G %s %n %T@ %l\0' \
        -o -printf '%P %y %m %U %G %s %n %T@\0' \) | as_lines | sort
    echo '== devices'
    find . \( -type b -o -type c \) -exec stat -c '%n %t %T' {} + | sort
    echo '== hard links'
    partition
    echo '== content'
    digests
    echo '== extents'
    find . -path ./deep -prune -o -type f -size +0 -exec "$tool" map {} + | sort
    echo '== attributes'
    find . -path ./deep -prune -o ! -type s -print0 | sort -z | xargs -0 getfattr -h -d -m - -e base64 --
    echo '== ACLs'
    find . -path ./deep -prune -o ! -type l ! -type s -print0 | sort -z | xargs -0 getfacl -n -p --
    echo '== flags' # but those that a file system sets by itself: extents, index, inline data, encryption, verity
    find . -path ./deep -prune -o \( -type f -o -type d \) -print0 | sort -z | xargs -0 lsattr -d -- 2>/dev/null |
        awk 'match($0, /^[-a-zA-Z]+ /) { f = substr($0, 1, RLENGTH - 1); gsub(/[-eINVE]/, "", f); print f substr($0, RLENGTH) ; next } { print }'
)
