# shellcheck shell=sh
# The torture tree: every type and attribute that Linux keeps about files (rows M-01 to M-14 of the fidelity matrix). Sourced, with
# $tool set. What this user may not make or this file system does not hold is left out and noted in $not_held. Nothing here is bkd's.

# try WHAT COMMAND…
try() { what=$1; shift; "$@" 2>/dev/null || echo "$what" >>"$not_held"; }
put() { printf '%s' "$2" >"$1"; }

make_sizes() { # M-01
    for n in 0 1 511 512 513 4095 4096 4097 65535 65536 65537 262143 262144 262145 16777215 16777216 16777217; do head -c $n /dev/urandom >"$n"; done
    if [ "$1" = full ]; then head -c 2147483649 /dev/zero | tr '\0' x >2G+1; fi
}

make_names() { # M-02
    mkdir bytes
    "$tool" names bytes
    long=$(printf '%0255d' 0 | tr 0 L)
    utf8=$(printf '\303\244%.0s' $(seq 127))
    for name in "$(printf 'new\nline\n.')" "$(printf 'tab\t')" "$(printf '\033[31mred')" '100%' '%41' ' leading' 'trailing ' '..foo' '...' 'back\slash' '\' '-rf' '--' "$long" \
        "$utf8" "$(printf 'bad\377utf8')" "$(printf 'nfc-\303\251')" "$(printf 'nfd-e\314\201')" Case case '"quoted"' "it's" '$(id)' '*' '?' '#' '~' '&' ';' '=' 'user.x=0x00'; do
        put "./$name" "$name"
    done
    mkdir -- "./dir $(printf '\n\377')" && put "./dir $(printf '\n\377')/inside" x
}

make_types() { # M-04
    mkdir empty-dir lost+found sticky
    chmod 1777 sticky
    ln -s nowhere dangling
    ln -s . to-dir
    ln -s loop loop
    try 'link of 4095 bytes' ln -s "$(printf '%04000d/' 0 | tr 0 t)$(printf '%094d' 0)" long-target
    ln -s "$(printf '%01023d' 0)" fairly-long-target
    ln -s "$(printf 'tar\nget\377 ')" odd-target
    chmod 6755 empty-dir
    mkfifo -m 620 fifo
    mkfifo fifo-6777 && chmod 6777 fifo-6777
    "$tool" socket "$PWD/socket"
    try 'character device' mknod -m 640 char c 300 70000
    try 'block device' mknod -m 604 block b 259 1000000
    try 'whiteout device' mknod -m 0 whiteout c 0 0
}

make_owners() { # M-06
    for id in 0 1 65534 2147483647 2147483648 4294967294; do
        put "user-$id" x && try "owner $id" chown "$id" "user-$id"
        put "group-$id" x && try "group $id" chgrp "$id" "group-$id"
        put "suid-$id" x && try "owner $id" chown "$id:$id" "suid-$id"
        chmod 6755 "suid-$id"
        ln -s x "link-$id" && try "owner $id of a link" chown -h "$id:$id" "link-$id"
        mkdir "dir-$id" && try "owner $id" chown "$id:$id" "dir-$id"
        chmod 2755 "dir-$id" 2>/dev/null
    done
}

make_acls() { # M-07
    put access x && try ACL setfacl -m u:1:rwx,u:4294967294:---,g:2:r-x access
    put masked x && try ACL setfacl -m u:1:rwx,m::r masked
    put closed x && try ACL setfacl -m u:1:rwx,g:7:rw,o::- closed && chmod 4750 closed
    mkdir default && try 'default ACL' setfacl -m u:1:rwx -d -m u:2:rx,g:3:rwx,m::rx default
    put default/inherits x
    mkdir default/dir && put default/dir/inherits x
    mkdir default/without && put default/without/x x && setfacl -R -b -k default/without 2>/dev/null
    mkdir only-default && try 'default ACL' setfacl -d -m g:2:rx only-default
    chmod 3755 only-default
    for n in 500 100 20; do
        put many-$n x
        seq "$n" | sed 's/.*/u:&:r--/' | try "ACL of $n entries" setfacl -M - many-$n
    done
}

make_xattrs() { # M-08
    put user x && try 'user attribute' setfattr -n user.name -v value user
    put empty x && setfattr -n user.empty empty 2>/dev/null
    put binary x && setfattr -n user.binary -v 0x00ff0a0d5c3d00 binary 2>/dev/null
    put odd-name x && setfattr -n "user.$(printf 'a=b\\c \377')" -v odd odd-name 2>/dev/null
    for n in 3000 15000 65536; do
        put "value-$n" x
        { printf '# file: %s\nuser.large=0x' "value-$n" && head -c "$n" /dev/urandom | od -An -v -tx1 | tr -d ' \n' && echo; } >"$not_held.values"
        try "attribute of $n bytes" setfattr --restore="$not_held.values"
    done
    for n in 30 90 300 1000 5000; do
        put "names-$n" x
        { echo "# file: names-$n" && seq "$n" | sed 's/.*/user.&="&"/'; } >"$not_held.values"
        setfattr --restore="$not_held.values" 2>/dev/null || { echo "$n attributes" >>"$not_held" && break; }
    done
    mkdir dir && setfattr -n user.dir -v d dir 2>/dev/null
    put trusted x && try 'trusted attribute' setfattr -n trusted.x -v t trusted
    ln -s target link && try 'attribute of a link' setfattr -h -n trusted.link -v l link
    mkfifo fifo && try 'attribute of a FIFO' setfattr -h -n trusted.fifo -v f fifo
    put cap2 x && try capability setcap cap_net_raw,cap_chown+ep cap2
    put cap3 x && try 'capability of a namespace' setcap -n 1000 cap_net_raw+ep cap3
    put cap-owned x && chown 1000:1000 cap-owned 2>/dev/null && chmod 4755 cap-owned && setcap cap_kill+p cap-owned 2>/dev/null
    put selinux x && try 'SELinux label' setfattr -n security.selinux -v 'system_u:object_r:etc_t:s0' selinux
}

make_links() { # M-09
    mkdir a b far
    put a/A 1 && put b/B 1 # the same content and two inodes
    ln a/A a/a && ln b/B b/b && ln a/A far/a && ln b/B far/b
    ln -s x a/sym && ln -P a/sym b/sym
    mkfifo a/fifo && ln a/fifo b/fifo
    try 'linked device' mknod a/dev c 1 3 && { ln a/dev b/dev 2>/dev/null || :; }
    head -c 300000 /dev/urandom >a/big && ln a/big b/big
    put many x && mkdir many.d && "$tool" links many many.d "$1"
}

make_sparse() { # M-10
    truncate -s "${torture_hole:-1T}" hole-and-byte && printf x >>hole-and-byte
    truncate -s 100M all-hole
    head -c 100000 /dev/urandom >trailing && truncate -s 50M trailing
    "$tool" comb comb 64
    "$tool" comb big-comb 2600
    truncate -s 40M middle && printf data | dd of=middle bs=1 seek=20000000 conv=notrunc status=none
    head -c 40000000 /dev/zero >zeros # data all the same
    try 'unwritten extents' fallocate -l 20M unwritten
    : >beyond-the-end && try 'space behind the end' fallocate -n -l 1M beyond-the-end && printf 1 >>beyond-the-end
    if [ "$1" = full ]; then try '16 TiB' truncate -s 17592186044415 16T; fi
}

make_times() { # M-11
    for t in -2147483648.000000001 -1 -0.5 -0.000000001 0 0.999999999 1.123456789 1000000000.000000001 2147483647.999999999 2147483648 4294967296.5 15032385535; do
        put "t$t" x && touch -d "@$t" "t$t"
        ln -s x "l$t" && touch -h -d "@$t" "l$t"
        mkdir "d$t" && touch -d "@$t" "d$t"
    done
    put noatime x && touch -a -d '2001-02-03 04:05:06.7' noatime
}

make_dirs() { # M-12
    mkdir -p read-only/below none/below execute
    put read-only/x x && put none/x x && put none/below/y y && put execute/x x
    touch -d '1999-12-31 23:59:59.123456789' read-only/below none/below
    chmod 0555 read-only
    if [ "$(id -u)" = 0 ]; then chmod 0 none && chmod 0111 execute; fi # its owner alone could not read them
    touch -d '1980-01-01 00:00:00.5' read-only none execute
}

make_flags() { # M-14
    for flag in d A i a S C c m s u t; do
        : >"file-$flag" && try "flag $flag" chattr "+$flag" "file-$flag"
        mkdir "dir-$flag" && put "dir-$flag/x" x && try "flag $flag of a directory" chattr "+$flag" "dir-$flag"
    done
    put full-C x
    head -c 100000 /dev/urandom 2>/dev/null >>file-C
    for flag in D T P; do mkdir "dir-$flag" && try "flag $flag" chattr "+$flag" "dir-$flag"; done
    put linked-i x && ln linked-i linked-i2 && chattr +i linked-i 2>/dev/null
    put both x && chattr +iAd both 2>/dev/null
    mkdir closed-i && put closed-i/x x && chmod 0555 closed-i && chattr +i closed-i 2>/dev/null
    :
}

# torture_make DIR SCALE: small leaves out the many modes; quick: 3000 levels, 2000 links; full: 10,000 levels, 65,000 links, 16 TiB, 2 GiB.
torture_make() (
    cd "$1" || exit 1
    umask 022
    : >"$not_held"
    case $2 in
    small) levels=300 links=100 ;;
    quick) levels=3000 links=2000 ;;
    *) levels=10000 links=65000 ;;
    esac
    for part in sizes names types owners acls xattrs links sparse times dirs flags; do
        mkdir "$part"
        argument=$2
        [ $part != links ] || argument=$links
        (cd "$part" && "make_$part" "$argument") || exit 1
    done
    mkdir modes deep
    [ "$2" = small ] || "$tool" modes modes
    "$tool" deep deep "$levels" 1
    touch -d '2011-11-11 11:11:11.111111111' .
)
