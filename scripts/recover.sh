#!/bin/sh
# recover.sh: rebuilds one snapshot of a bkd repository (format 1) with stock tools: sh, coreutils, awk, tar, zstd, rdiff, ssh-keygen,
# age where the repository is encrypted, setfattr where there are extended attributes or ACLs. No part of bkd is needed.
#
#   BKD_SIGNERS=FILE sh recover.sh REPOSITORY IDENTITY SNAPSHOT TARGET
#
# REPOSITORY directory of the repository      IDENTITY age identity file, or none (nothing encrypted)
# SNAPSHOT   number, or latest                TARGET   empty or new directory; nothing is written outside it
# BKD_SIGNERS   allowed_signers file with the key that signed the snapshots: yours, never one found beside the repository.
#               BKD_UNSIGNED=yes goes on without: then nothing proves where the data comes from.
# BKD_CHAIN     which chain (32 hex digits), where the repository holds several
# BKD_WORK      directory for the work files; default is inside TARGET. It takes about as much space as the snapshot, for a while.
# Ends with 0: complete. 3: done, but something was left out (listed). 1: failed. 2: usage. 4: a signature or hash is not right.
set -u
LC_ALL=C; export LC_ALL; umask 077
say() { printf '%s\n' "recover: $*" >&2; }
die() { code=$1; shift; say "$*"; exit "$code"; }
full() { case $1 in /*) printf '%s\n' "$1" ;; *) printf '%s\n' "$PWD/$1" ;; esac; }
[ $# = 4 ] || die 2 'usage: BKD_SIGNERS=FILE sh recover.sh REPOSITORY IDENTITY SNAPSHOT TARGET'
R=$(full "$1"); identity=$2; snapshot=$3; T=$(full "$4")
[ "$identity" = none ] || identity=$(full "$identity")
signers=${BKD_SIGNERS:+$(full "$BKD_SIGNERS")}; unsigned=${BKD_UNSIGNED:-no}
[ -n "$signers" ] || [ "$unsigned" = yes ] || die 2 'set BKD_SIGNERS to your allowed_signers file (or BKD_UNSIGNED=yes to trust whoever wrote here)'
for t in awk tar zstd rdiff sha256sum ssh-keygen; do command -v $t >/dev/null || die 1 "$t is missing"; done
[ -f "$R/bkd-repository" ] || die 1 "$R is no bkd repository: bkd-repository is missing"
mkdir -p -- "$T" && cd -- "$T" || die 1 "cannot make $T"
for f in * .[!.]* ..?*; do [ "$f" = lost+found ] || { [ ! -e "$f" ] && [ ! -L "$f" ]; } || die 2 "$T is not empty"; done
W=$(mktemp -d "${BKD_WORK:-$T}/.bkd-recover.XXXXXX") || die 1 'no work directory'
trap 'rm -rf "$W"' EXIT; trap 'exit 1' HUP INT TERM
mkdir "$W/o" "$W/v"; : >"$W/index"; : >"$W/left"; : >"$W/table"; left=0
oops() { left=1; }

# Shared by the awk programs: raw(): %XX escapes to bytes. q(): a word for sh. num(): whole numbers above 2^31 as digits.
lib='BEGIN { for (i = 1; i < 128; i++) byte[sprintf("%02X", i)] = sprintf("%c", i) }
function raw(s,  o, i) { o = ""; while (i = index(s, "%")) { o = o substr(s, 1, i - 1) byte[substr(s, i + 1, 2)]; s = substr(s, i + 3) } return o s }
function q(s) { gsub(/\047/, "\047\\\047\047", s); return "\047" s "\047" }
function num(x) { return sprintf("%.0f", x) }
function member(place) { return place in at ? at[place] : "" }
function load(file,  l, f) { while ((getline l < file) > 0) { split(l, f, " "); at[f[1]] = f[2] } close(file) }'
# batch COMMAND PREFIX: lines "OPTION ESCAPED-PATH" on stdin, those of one option together; runs COMMAND OPTION -- PATH PATH ...
batch() {
    awk -v c="$1" -v p="$2" "$lib"'
        function flush() { if (n) print " || oops"; n = 0 }
        $1 "" != o "" || n > 30000 { flush(); o = $1 }
        { if (!n) printf "%s", c " " q(o) " --"; w = q(p raw($2)); printf " %s", w; n += length(w) + 1 }
        END { flush() }' >"$W/script" && . "$W/script"
}
# signed FILE NAMESPACE OUT: the lines before the signature go to OUT; true when a known signer signed exactly them.
signed() {
    : >"$W/sig"
    awk -v t="$3" -v s="$W/sig" '/^-----BEGIN SSH SIGNATURE-----$/ { o = 1 } { print > (o ? s : t) }' "$1" && [ -f "$3" ] || return 1
    [ -n "$signers" ] || return 0
    when=-Overify-time=$(awk '$1 == "time" || $1 == "created" { gsub(/[-:TZ]/, "", $2); print $2; exit }' "$3")
    for o in "" "$when"; do # a signer may be one only for some years: now, or else at the time of this text
        who=$(TZ=UTC0 ssh-keygen -Y find-principals ${o:+"$o"} -s "$W/sig" -f "$signers" 2>/dev/null | head -n 1); who=${who%%,*}
        TZ=UTC0 ssh-keygen -Y verify ${o:+"$o"} -f "$signers" -I "$who" -n "$2" -s "$W/sig" <"$3" >/dev/null 2>&1 && return 0
    done
    return 1
}
value() { awk -v k="$1" '$1 == k { sub(/^[^ ]+ ?/, ""); print; exit }' "$2"; }
sum() { set -- "$(sha256sum <"$1" 2>/dev/null)"; printf '%s\n' "${1%% *}"; }
# open_object N: verifies, decrypts and unpacks object N, once. Its members go to o/N/, "PLACE o/N/MEMBER" to the index.
open_object() {
    [ ! -d "$W/o/$1" ] || return 0
    mkdir "$W/o/$1"
    sha=$(awk -v n="$1" '$1 == "object" && $2 == n { print $3 }' "$W/refs")
    f=$R/objects/$(printf %.2s "$sha")/$sha.tar.zst; [ "$identity" = none ] || f=$f.age
    [ "$(sum "$f")" = "$sha" ] || { say "object $1 is missing or damaged: $f"; oops; return 0; }
    if [ "$identity" = none ]; then cat "$f"; else age -d -i "$identity" "$f"; fi | zstd -dcq |
        tar -xvvf - --no-same-owner -C "$W/o/$1" >"$W/list" || { say "object $1 cannot be unpacked: $f"; oops; }
    awk -v n="$1" "$lib"'BEGIN { o = 512 } # a header of 512 bytes before each member, whose data fill whole blocks of 512
        { if ($6 ~ /^[0-9]+\.[a-z]+$/) print n ":" num(o) "+" $3, "o/" n "/" $6; o += 512 + int(($3 + 511) / 512) * 512 }' "$W/list" >"$W/o/$1.index"
    cat "$W/o/$1.index" >>"$W/index"
}
objects_of() { awk -F: '/^[1-9][0-9]*:[0-9]+\+[0-9]+$/ { print $1 }' "$1" | sort -nu; }
# closure FILE: reads the recipes at these places and all they are based on into the table:
# "V PLACE CHAIN SHA256 BASE EXTENTS" and, in order, "P PLACE KIND LENGTH SHA256 MEMBER".
closure() {
    while [ -s "$1" ]; do
        for n in $(objects_of "$1"); do open_object "$n"; done
        awk -v w="$W/" "$lib"'
            BEGIN { load(w "index"); while ((getline l < (w "table")) > 0) if (split(l, f, " ") && f[1] == "V") known[f[2]] = 1; close(w "table") }
            $1 in known || member($1) !~ /\.recipe$/ { next }
            { v = $1; known[v] = 1; file = w member(v); x = 0; b = "-"
              while ((getline l < file) > 0) {
                  if (l ~ /^ranges /) continue
                  split(l, f, " ")
                  if (f[1] == "base") b = f[3]
                  else if (f[1] == "sha256") s = f[2]
                  else if (f[1] == "chain") c = f[2]
                  else if (f[1] == "extent") x = 1
                  else if (f[1] == "piece") print "P", v, f[2], f[3], f[4], f[5] >> (w "table")
              }
              close(file); if (f[1] == "") next
              print "V", v, c, s, b, x >> (w "table")
              if (b != "-") print b }' "$1" | sort -u >"$W/bases"
        cat "$W/bases" >"$1"
    done
}
# build FILE: rebuilds the versions at these places as v/PLACE, base versions first; bases and members nobody needs any more go away.
whole() { cat "o/$1" || bad=1; }
delta() { rdiff patch "v/$2" "o/$1" || bad=1; }
same() { dd if="v/$1" iflag=skip_bytes,count_bytes skip="$2" count="$3" bs=1M status=none || bad=1; }
zeros() { head -c "$1" /dev/zero >>new || bad=1; }
hole() { truncate -s "+$1" new || bad=1; }
check() { [ "$(tail -c "$1" new | sha256sum)" = "$2  -" ] || bad=1; }
build() {
    { awk '$1 == "V"' "$W/table" | sort -n -k3,3; awk '$1 == "P"' "$W/table"; } >"$W/sorted"
    awk -v w="$W/" "$lib"'
        BEGIN { load(w "index") # files may be members that are pieces of versions too; before it is known which, all members stay
                while ((r = getline l < (w "at")) > 0) used[substr(member(l), 3)]++; keep = r < 0 }
        FILENAME != w "sorted" { uses[$1]++; next }
        $1 == "V" { order[++n] = $2; sha[$2] = $4; base[$2] = $5; thin[$2] = $6; if ($5 != "-") uses[$5]++; next }
        { v = $2; k = ++pieces[v]; kind[v, k] = $3; len[v, k] = $4; hash[v, k] = $5; mem[v, k] = member($6)
          if ($6 != "-" && mem[v, k] == "") broken[v] = 1
          sub(/^o\//, "", mem[v, k]); used[mem[v, k]]++ }
        END { for (i = 1; i <= n; i++) {
            v = order[i]; b = base[v]
            if (b != "-" && !(b in done)) broken[v] = 1
            print "bad=0; : >new"
            for (k = 1; k <= pieces[v] && !(v in broken); k++) {
                m = mem[v, k]; t = kind[v, k]; l = num(len[v, k])
                if (holes && t != "hole") { print "hole " num(holes); holes = 0 }
                if (t == "whole") print "whole " m " >>new"
                else if (t == "delta") print "delta " m " " b " >>new"
                else if (t == "same") print "same " b " " num(o[v]) " " l " >>new"
                else if (thin[v]) holes += len[v, k] # one after the other: a hole of 1 TiB has 65,536 pieces
                else print "zeros " l
                if (sha[v] == "-" && t != "hole") print "check " l " " q(hash[v, k])
                if (m != "" && !--used[m] && !keep) print "rm -f o/" m
                o[v] += l
            }
            if (holes) print "hole " num(holes)
            holes = 0
            if (!(v in broken)) { done[v] = 1; print "[ $bad = 0 ] && mv new v/" v " || oops" }
            if (b in done && !--uses[b]) print "rm -f v/" b
        } }' "$1" "$W/sorted" >"$W/script" && cd "$W" && . "$W/script"; cd "$T" || exit 1
}

# --- the head: which snapshot, signed by whom -----------------------------------------------------------------------------
signed "$R/bkd-repository" bkd-repository@v1 "$W/repository" || die 4 'bkd-repository is not signed by a signer you named'
[ "$(head -n 1 "$W/repository")" = bkd-repository/1 ] && [ "$(value read-requires "$W/repository")" = - ] ||
    die 1 'this script reads only format 1 without further features'
if [ "$(value encryption "$W/repository")" = none ]; then identity=none
else command -v age >/dev/null || die 1 'age is missing'; [ -f "$identity" ] || die 2 "encrypted: needs an age identity file, not '$identity'"; fi
chain=${BKD_CHAIN:-$(cd "$R/heads" && echo *)}
case $chain in *[!0-9a-f]*|'') die 2 "set BKD_CHAIN to one of the chains in $R/heads:" $chain ;; esac
head=
for n in $(cd "$R/heads/$chain" && printf '%s\n' * | awk '/^[1-9][0-9]*$/' | sort -rn); do
    [ "$snapshot" = latest ] || [ "$snapshot" = "$n" ] || continue
    rm -f "$W/head"
    if signed "$R/heads/$chain/$n" bkd-head@v1 "$W/head" && [ "$(head -n 1 "$W/head")" = bkd-head/1 ] && [ "$(value number "$W/head")" = "$n" ] &&
        [ "$(value chain "$W/head")" = "$chain" ] && [ "$(value repository "$W/head")" = "$(value repository "$W/repository")" ]; then head=$n; break; fi
    say "snapshot $n is void: not whole, or not signed by a signer you named"
done
[ -n "$head" ] || die 4 "no valid snapshot '$snapshot' in chain $chain"
say "snapshot $head of $(value time "$W/head"), policy $(value policy "$W/head") on $(value host "$W/head"), flags $(value flags "$W/head")," \
    "signed by ${who:-nobody known}"
set -- $(value refs "$W/head")
[ -e "$R/refs/$1" ] || ! grep -rqs "^snapshot $head $(sum "$R/heads/$chain/$head")" "$R/records" ||
    die 1 "snapshot $head was removed by rule, or never got to this copy (records there say so): take another snapshot, or another copy"
cp "$R/refs/$1" "$W/refs" && [ "$(sum "$W/refs")" = "$1" ] || die 4 "refs/$1 is missing or damaged"

# --- the manifest: a file with a recipe like others ----------------------------------------------------------------------
set -- $(value manifest "$W/head")
echo "$1" >"$W/todo"; closure "$W/todo"; echo "$1" >"$W/todo"; build "$W/todo"
[ "$(sum "$W/v/$1")" = "$4" ] || die 4 'the manifest cannot be read (wrong identity, or an object is missing or damaged)'
mv "$W/v/$1" "$W/manifest"; rm -rf "$W/v"; mkdir "$W/v"; : >"$W/table"; left=0

# --- what the files need --------------------------------------------------------------------------------------------------
fields() { awk -v k="$1=" '{ for (i = 3; i <= NF; i++) if (index($i, k) == 1) print substr($i, length(k) + 1) }' "$W/manifest"; }
fields version >"$W/versions"; sort -u "$W/versions" >"$W/todo"; closure "$W/todo"
fields at >"$W/at"
{ cat "$W/at"; fields xattr; awk '$1 == "P" && $6 != "-" { print $6 }' "$W/table"; } | sort -u >"$W/needed"
for n in $(objects_of "$W/needed"); do
    open_object "$n" # and let go at once of what no file needs
    [ ! -f "$W/o/$n.index" ] || awk 'NR == FNR { need[$1] = 1; next } !($1 in need) { print "-f", $2 }' "$W/needed" "$W/o/$n.index" | batch rm "$W/"
done
build "$W/versions"; ls "$W/v" >"$W/built"

# --- the plan: lists and commands from the manifest ------------------------------------------------------------------------
: >"$W/list"
for f in dirs links own sums time mode dmode xattrs flags plan; do : >"$W/$f"; done
awk -v w="$W/" -v root="$(id -u)" -v setfattr="$(command -v setfattr)" -v chattr="$(command -v chattr)" "$lib"'
    function lost(why) { print why ": " $1 > (w "left") }
    function key(k) { return k in v ? v[k] : "" }
    function text(place,  l, t, f) {
        if (!(place in texts)) { t = ""; f = w member(place); if (member(place) != "") while ((getline l < f) > 0) t = t l "\n"; close(f); texts[place] = t }
        return texts[place]
    }
    function plan(c) { print c " || oops" > (w "plan") }
    function links(c) { print c " || oops" > (w "links") }
    function put(src, thin,  last, c) { last = !--uses[src]; c = thin ? "cp --sparse=always" : last ? "mv" : "cp"
        plan(c " -T \"$W\"/" src " " q(p) (last && c != "mv" ? " && rm \"$W\"/" src : "")) }
    function content(  src, x) { # true when the content of a regular file is at hand
        if (v["size"] == 0) { plan(": >" q(p)); return 1 }
        if (key("at") ~ /^0:/) { plan("truncate -s " num(v["size"]) " " q(p)); return 1 }
        src = "at" in v ? member(v["at"]) : "v/" key("version")
        if (src == "" || ("version" in v && !(v["version"] in built))) { lost("its content is missing or damaged"); return 0 }
        put(src, key("version") in sparse)
        if (key("note") ~ /preallocated/) plan("fallocate -l " num(v["size"]) " " q(p))
        if ("sha256" in v) { f = p; e = gsub(/\\/, "&&", f) + gsub(/\n/, "\\n", f) + gsub(/\r/, "\\r", f); print (e ? "\\" : "") v["sha256"] "  " f > (w "sums") }
        return 1
    }
    function letters(hex,  o, i, b, d) { # those of chattr for inode flags, the lowest bit first; C and F want an empty file
        o = ""; for (i = 0; i < length(hex); i++) { d = index("0123456789abcdef", substr(hex, length(hex) - i, 1)) - 1
            for (b = 1; b <= 4; b++) { if (d % 2) o = o substr("sucSiadA..m...jtDT.....C.x...PF.", 4 * i + b, 1); d = int(d / 2) } }
        if (o ~ /[.]|F/ || (type == "f" && o ~ /C/)) { lost("inode flags " o " are not all set"); gsub(/[.F]/, "", o); if (type == "f") gsub(/C/, "", o) }
        return o
    }
    function ok() { # makes the entry; true when it is there and gets attributes
        if (type == "d") { print "-m700", e1 > (w "dirs"); dir[r] = 1; return 1 }
        if (("hardlink" in v) && (v["hardlink"] in first)) { links("ln -P -T -- " q(first[v["hardlink"]]) " " q(p)); return 0 }
        if (type == "f" && !content()) return 0
        if (type == "l") links("ln -s -T -- " q(raw(v["target"])) " " q(p))
        if (type == "p") links("mkfifo -- " q(p))
        if (type == "b" || type == "c") {
            if (root != 0) { lost("a device needs root"); return 0 }
            split(v["device"], d, ","); links("mknod -- " q(p) " " type " " q(d[1]) " " q(d[2]))
        }
        if (type == "s") { lost("sockets are not restored"); return 0 }
        if ("hardlink" in v) first[v["hardlink"]] = p
        return 1
    }
    BEGIN { load(w "index")
        while ((getline l < (w "built")) > 0) built[l] = 1
        while ((getline l < (w "table")) > 0) { split(l, t, " "); if (t[1] == "V" && t[6]) sparse[t[2]] = 1 } }
    { split("", v); for (i = 3; i <= NF; i++) { j = index($i, "="); v[substr($i, 1, j - 1)] = substr($i, j + 1) } type = $2
      e1 = $1; sub(/^\//, "", e1); r = raw(e1) }
    pass == 1 { if (!("hardlink" in v) || !seen[v["hardlink"]]++) { if ("at" in v) uses[member(v["at"])]++; if ("version" in v) uses["v/" v["version"]]++ } next }
    $1 == "/" { next } # TARGET keeps its own owner, mode and time
    $1 ~ /^stream\// && !stream++ { clash = "stream" in dir; if (!clash) print "-m700 stream" > (w "dirs"); dir["stream"] = 1 }
    $1 ~ /^stream\// && clash { lost("/stream stands where it would go"); next }
    length(r) > 4090 { if (!long++) deepest = substr($1, 1, 100); next }
    { parent = r; if (!sub(/\/[^\/]*$/, "", parent)) parent = "" }
    ("/" r "/") ~ /\/\.?\.?\// || $1 == last || (parent != "" && !(parent in dir)) { lost("refused, its path is not right"); next }
    { p = "./" r; last = $1 }
    ok() {
        print v["uid"] ":" v["gid"], e1 > (w "own")
        s = v["mtime"]; if (s ~ /^-/ && s !~ /\.000000000$/) { split(substr(s, 2), t, "."); s = "-" num(t[1] - 1) "." sprintf("%09.0f", 1000000000 - t[2]) }
        print "@" s, e1 > (w "time")
        if (type != "l") print v["mode"], e1 > (w (type == "d" ? "dmode" : "mode"))
        if ("flags" in v) { if (chattr == "") lost("inode flags " v["flags"] " are not set"); else { x = letters(v["flags"]); if (x != "") print "+" x, e1 > (w "flags") } }
        if ("xattr" in v) {
            if (setfattr == "" || text(v["xattr"]) == "") lost("extended attributes are not set"); else {
                gsub(/\\/, "\\134", p); gsub(/\n/, "\\012", p); gsub(/\r/, "\\015", p)
                print "# file: " p "\n" text(v["xattr"]) > (w "xattrs") } }
    }
    END { if (long) print "paths longer than these tools take (bkd-restore takes them): " long ", below " deepest "..." > (w "left") }' pass=1 "$W/manifest" pass=2 "$W/manifest"

# --- the tree: directories in an empty place first, links last, so that no path can lead through a link --------------------------
batch mkdir ./ <"$W/dirs"; . "$W/plan"
[ ! -s "$W/sums" ] || sha256sum -c --quiet --strict "$W/sums" >&2 || oops
. "$W/links"
if [ "$(id -u)" = 0 ]; then sort "$W/own" | batch 'chown -h' ./
else awk -v me="$(id -u):$(id -g)" '$1 != me { n++ } END { if (n) print "not root: entries that keep your owner: " n }' "$W/own" >>"$W/left"; fi
[ ! -s "$W/xattrs" ] || setfattr -h --restore="$W/xattrs" || oops
sort "$W/time" | batch 'touch -hcd' ./
sort "$W/mode" | batch chmod ./
tac "$W/dmode" | batch chmod ./
flags() { o=$1; shift 2; chattr "$o" "$@"; } # knows no --
sort "$W/flags" | batch flags ./
[ ! -s "$W/left" ] || { left=1; say 'left out:'; cat "$W/left" >&2; }
[ "$left" = 0 ] || die 3 "snapshot $head is in $T, but not all of it: see above"
say "snapshot $head is in $T, complete: $(value files "$W/head") files, each with the right SHA-256"
