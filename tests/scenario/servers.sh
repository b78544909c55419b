#!/bin/sh
# Servers that are not OpenSSH's: dropbear, proftpd's mod_sftp, rclone (a server written in Go), each as repository and as copy: first and second backup, ship,
# check, restore from there alone, one file, a name that is taken, a run that is killed and gone on with. Those that are not installed are passed over.
# Prints TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd.sh"
ssh-keygen -q -t ed25519 -N '' -f "$tree/user_key"
ssh-keygen -q -t ed25519 -N '' -f "$tree/host_key"
chmod 755 "$tree"
server_pid=
trap '[ -z "$server_pid" ] || kill "$server_pid" 2>/dev/null; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT

# server COMMAND…: runs it until it listens on $sshd_port; $tree/log has what it says.
server() {
    "$@" >"$tree/log" 2>&1 &
    server_pid=$!
    n=0
    while [ $n -lt 100 ] && ! grep -qi ":$(printf '%04X' "$sshd_port") 00000000:0000 0A" /proc/net/tcp /proc/net/tcp6; do sleep 0.1; n=$((n + 1)); done
    [ $n -lt 100 ]
}
server_stop() {
    kill "$server_pid" 2>/dev/null
    wait "$server_pid" 2>/dev/null
    server_pid=
}

# Everything through one server. cycle NAME FAR-PATH PLACE: as the client names it, and where it is on this machine.
cycle() {
    name=$1 far="sftp://$sshd_user@127.0.0.1:$sshd_port$2" place=$3
    host "source-$name" "{recipients: recipients.txt}" "offsite:" "  - {url: '$far/copy', verify: full}"
    cp "$tree/user_key" "$config/keys/ssh_ed25519"
    chmod 600 "$config/keys/ssh_ed25519"
    seq 1 30000 >"$source/table"
    mkdir "$source/small"
    for i in 1 2 3 4 5 6 7 8 9; do echo "file $i" >"$source/small/$i"; done
    head -c 12000000 /dev/urandom >"$source/large"
    from() { where=$1; shift; "$BKD_BIN/bkd-restore" -r "$where" -i "$config/keys/operations.txt" -s "$config/keys/allowed_signers" \
        --ssh-identity "$config/keys/ssh_ed25519" --known-hosts "$config/keys/known_hosts" "$@"; }
    same_from() { rm -rf "$tree/restored"; from "$1" restore "$2" --target "$tree/restored" -q && diff -r "$source" "$tree/restored$source"; }
    is 0 "$name: pinned" run_bkd trust-host "$far/copy" --yes
    is 0 "$name: init" run_bkd init p
    is 0 "$name: first backup" backup --no-ship
    is 0 "$name: shipped, slowly enough for further connections" run_bkd ship p --bandwidth 8MiB/s -v
    [ "$name" != rclone ] || says "$name: which would empty the file is noticed" "empties a file that is opened again"
    is 0 "$name: and restored from there alone" same_from "$far/copy" latest
    echo more >>"$source/table"
    head -c 300000 /dev/urandom >"$source/small/new"
    is 0 "$name: second backup" backup
    is 0 "$name: the copy is right" from "$far/copy" check --read-data
    is 0 "$name: one file of the first" from "$far/copy" dump 1 "$source/small/3"
    says "$name: with its content" "^file 3$"
    is 0 "$name: the second" same_from "$far/copy" 2
    is 0 "$name: nothing to do" run_bkd ship p --json
    says "$name: is known" '"snapshots":0,"objects":0'
    [ -z "$(find "$place" -name '*.part-*')" ] && ok "$name: no part is left" || bad "$name: parts are left"
    # a run that is killed in the middle of the large object
    head -c 9000000 /dev/urandom >"$source/large"
    run_bkd backup p -q --no-ship >"$tree/out" 2>&1
    "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" ship p --bandwidth 4MiB/s -q >"$tree/out" 2>&1 &
    killed=$!
    sleep 1
    kill -9 "$killed" 2>/dev/null
    wait "$killed" 2>/dev/null
    is 0 "$name: a ship that was killed goes on" run_bkd ship p
    is 0 "$name: to the same end" same_from "$far/copy" latest
    # the same server as repository itself
    sed -i "s|^repository: .*|repository: $far/direct|; /^offsite:/,\$d" "$config/policies/p.yaml"
    rm -rf "$state"
    is 0 "$name: as repository" run_bkd init p
    is 0 "$name: not twice" sh -c "! '$BKD_BIN/bkd' --config-dir '$config' --state-dir '$state' init p"
    is 0 "$name: straight there" backup
    echo again >>"$source/table"
    is 0 "$name: and again" backup
    is 0 "$name: restored" same_from "$far/direct" latest
    is 0 "$name: checked" run_bkd check p
    is 0 "$name: what may be done there is told" run_bkd check-remote "$far/direct"
    is 0 "$name: and nothing was changed" same_from "$far/direct" latest
}

tried=0
# ---- dropbear: looks for keys in the account's home, so root gives it one of its own
if command -v dropbear >/dev/null && [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null && [ -x /usr/lib/sftp-server ]; then
    tried=$((tried + 1))
    sshd_free_port
    mkdir -p "$tree/dropbear/home/.ssh" "$tree/dropbear/far"
    cp "$tree/user_key.pub" "$tree/dropbear/home/.ssh/authorized_keys"
    chmod -R go= "$tree/dropbear/home"
    dropbearkey -t ed25519 -f "$tree/dropbear/host" >"$tree/out" 2>&1
    if server unshare -m sh -c 'mount --bind "$1" "$(getent passwd root | cut -d: -f6)" && exec dropbear -F -E -s -p "127.0.0.1:$2" -r "$3" -P "$4"' sh \
        "$tree/dropbear/home" "$sshd_port" "$tree/dropbear/host" "$tree/dropbear/pid"; then
        cycle dropbear "$tree/dropbear/far" "$tree/dropbear/far"
    else
        cp "$tree/log" "$tree/out"
        bad "dropbear starts"
    fi
    server_stop
fi

# ---- proftpd with mod_sftp: a process that serves all, keys in another format
modules=/usr/lib/proftpd
if command -v proftpd >/dev/null && [ -e $modules/mod_sftp.so ] && [ "$(id -u)" = 0 ]; then
    tried=$((tried + 1))
    sshd_free_port
    mkdir -p "$tree/proftpd/far"
    ssh-keygen -e -f "$tree/user_key.pub" >"$tree/proftpd/keys"
    echo "$sshd_user:x:$(id -u):$(id -g)::$tree/proftpd:/bin/sh" >"$tree/proftpd/passwd"
    chmod 600 "$tree/proftpd/passwd"
    cat >"$tree/proftpd/conf" <<CONF
ModulePath $modules
LoadModule mod_sftp.c
ServerType standalone
DefaultAddress 127.0.0.1
Port $sshd_port
UseIPv6 off
User root
Group root
RootLogin on
UseReverseDNS off
WtmpLog off
PidFile $tree/proftpd/pid
ScoreboardFile $tree/proftpd/scoreboard
AuthOrder mod_auth_file.c
AuthUserFile $tree/proftpd/passwd
RequireValidShell off
UseFtpUsers off
DelayEngine off
SystemLog $tree/proftpd/log
SFTPEngine on
SFTPHostKey $tree/host_key
SFTPAuthMethods publickey
SFTPAuthorizedUserKeys file:$tree/proftpd/keys
SFTPLog $tree/proftpd/sftp.log
CONF
    if server proftpd -n -c "$tree/proftpd/conf"; then
        cycle proftpd "$tree/proftpd/far" "$tree/proftpd/far"
    else
        cat "$tree/log" "$tree/proftpd/log" >"$tree/out" 2>/dev/null
        bad "proftpd starts"
    fi
    server_stop
fi

# ---- rclone: requests of one connection are worked at side by side
if command -v rclone >/dev/null; then
    tried=$((tried + 1))
    sshd_free_port
    mkdir -p "$tree/rclone/far"
    if server rclone serve sftp "$tree/rclone" --addr "127.0.0.1:$sshd_port" --key "$tree/host_key" --authorized-keys "$tree/user_key.pub" \
        --vfs-cache-mode writes --vfs-write-back 0s --dir-cache-time 0s --config "$tree/rclone.conf" --cache-dir "$tree/rclone-cache"; then
        cycle rclone /far "$tree/rclone/far"
    else
        cp "$tree/log" "$tree/out"
        bad "rclone starts"
    fi
    server_stop
fi

[ $tried -gt 0 ] || { echo "1..0 # skip neither dropbear, proftpd's mod_sftp nor rclone is installed"; exit 77; }
finish
