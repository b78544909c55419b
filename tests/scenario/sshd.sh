# Sourced by scenarios after lib.sh: private sshd processes on loopback. sshd_start NAME LINE… makes keys and a configuration below $tree/sshd-NAME and runs it;
# sets sshd_dir, sshd_port, sshd_user.
sshd_user=$(id -un)
sshd_missing=
sshd_available() {
    [ -x /usr/sbin/sshd ] || { sshd_missing="openssh-server is not installed"; return 1; }
    [ "$(id -u)" != 0 ] || mkdir -p /run/sshd
}
sshd_run() {
    /usr/sbin/sshd -f "$sshd_dir/config" -E "$sshd_dir/log"
    n=0
    while [ $n -lt 50 ] && [ ! -s "$sshd_dir/pid" ]; do sleep 0.1; n=$((n + 1)); done
}
sshd_stop() {
    [ -s "$sshd_dir/pid" ] || return 0
    sshd_pid=$(cat "$sshd_dir/pid") n=0
    kill "$sshd_pid" 2>/dev/null
    while [ $n -lt 50 ] && [ -e "/proc/$sshd_pid/exe" ]; do sleep 0.1; n=$((n + 1)); done # until then it listens
    rm -f "$sshd_dir/pid"
}
# A port that nobody listens on.
sshd_free_port() {
    sshd_port=$((20000 + $$ % 20000))
    while grep -qi ":$(printf '%04X' $sshd_port) 00000000:0000 0A" /proc/net/tcp; do sshd_port=$((sshd_port + 1)); done
}
sshd_start() {
    sshd_dir=$tree/sshd-$1
    shift
    mkdir -p "$sshd_dir"
    chmod 755 "$tree" "$sshd_dir"
    sshd_free_port
    ssh-keygen -q -t ed25519 -N '' -f "$sshd_dir/host"
    [ -e "$tree/user_key" ] || ssh-keygen -q -t ed25519 -N '' -f "$tree/user_key"
    cp "$tree/user_key.pub" "$sshd_dir/authorized"
    { printf '%s\n' "Port $sshd_port" "ListenAddress 127.0.0.1" "HostKey $sshd_dir/host" "AuthorizedKeysFile $sshd_dir/authorized" "StrictModes no" \
        "PidFile $sshd_dir/pid" "UsePAM no" "PermitRootLogin yes" "PasswordAuthentication no"
      printf '%s\n' "$@"; } >"$sshd_dir/config"
    trap 'sshd_stop; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT
    sshd_run
}
# sshd_keys DIR: the client's key, as a policy names it.
sshd_keys() { cp "$tree/user_key" "$1/ssh_ed25519"; chmod 600 "$1/ssh_ed25519"; }
