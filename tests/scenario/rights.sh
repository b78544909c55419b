#!/bin/sh
# Rights: units of systemd (S-25), a run as a user who may only read, root that works as the owner of the state directory, and runs by a starter's socket.
. "${0%/*}/lib.sh"
: "${BKD_SOURCE:?is the top of the sources}"
daemon=
starter=
trap 'for p in $daemon $starter; do kill -9 "$p" 2>/dev/null; done; chmod -R u+rwx "$tree" 2>/dev/null; rm -rf "$tree"' EXIT
skip() { number=$((number + 1)); echo "ok $number - $1 # SKIP $2"; }

# ---- the units ---------------------------------------------------------------------------------------------------------------
if command -v systemd-analyze >/dev/null; then
    # As installed, with the programs of this build and without manual pages, which verify would look for.
    mkdir "$tree/units"
    for unit in "$BKD_SOURCE"/scripts/systemd/*.service "$BKD_SOURCE"/scripts/systemd/*.socket "$BKD_SOURCE"/scripts/systemd/*.timer "$BKD_SOURCE"/scripts/systemd/*.slice; do
        sed -e "s|/usr/bin/bkd|$BKD_BIN/bkd|" -e '/^Documentation=/d' "$unit" >"$tree/units/${unit##*/}"
    done
    is 0 "systemd-analyze verify finds nothing" systemd-analyze verify "$tree"/units/*
    if [ -s "$tree/out" ]; then bad "and says nothing"; else ok "and says nothing"; fi
    is 0 "systemd-analyze security: at most 3.0" systemd-analyze security --offline=yes --threshold=30 --no-pager "$tree/units/bkd.service"
    sed 's/^NoNewPrivileges=.*//; s/^Protect.*//; s/^Capability.*//; s/^System.*//; s/^Restrict.*//; s/^Private.*//' "$tree/units/bkd.service" >"$tree/units/open.service"
    is 1 "which a unit without its sandbox is not" systemd-analyze security --offline=yes --threshold=30 --no-pager "$tree/units/open.service"
else
    skip "units" "systemd-analyze is not installed"
fi
is 0 "every command of the units and the crontab is there" sh -c "grep -hE '^ExecStart=|^[*]'  '$BKD_SOURCE'/scripts/systemd/*.service '$BKD_SOURCE/scripts/crontab' |
    sed 's/.*bkd \([a-z]*\).*/\1/' | sort -u | while read -r verb; do '$BKD_BIN/bkd' help \$verb >/dev/null || exit 1; done"

# ---- a starter's socket ------------------------------------------------------------------------------------------------------
host h none
echo one >"$source/one"
run_bkd init p >"$tree/out" 2>&1
if command -v systemd-socket-activate >/dev/null; then
    mkdir "$tree/run"
    systemd-socket-activate --accept --inetd -l "$tree/run/start" "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" run --order 2>"$tree/starter.log" &
    starter=$!
    "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" daemon --starter "$tree/run/start" 2>"$tree/daemon.log" &
    daemon=$!
    for i in 1 2 3 4 5 6 7 8 9 10; do grep -q '^ready' "$tree/daemon.log" && [ -S "$tree/run/start" ] && break; sleep 0.5; done
    is 0 "a run by the starter's socket" run_bkd run p --wait --json
    says "its end is known" '"exit":0'
    is 0 "it is no child of the daemon's, and has a record" sh -c "sqlite3 '$state/catalogue.db' \"SELECT trigger, exit_code FROM runs\" | grep -x 'manual|0'"
    echo 'sources: [/nowhere/at/all]' >"$tree/broken"
    rm -rf "$source"
    is 1 "a run that fails" run_bkd run p --wait
    mkdir "$source"
    kill "$starter"; wait "$starter" 2>/dev/null; starter=
    is 1 "without a starter a run is refused" run_bkd run p
    says "with what to do" 'systemctl start bkd-run.socket'
    kill "$daemon"; wait "$daemon"; daemon=
else
    skip "a starter's socket" "systemd-socket-activate is not installed"
fi
is 2 "an order that is none" sh -c "echo '{\"policy\":\"p\"}' | '$BKD_BIN/bkd' --config-dir '$config' --state-dir '$state' run --order"

# ---- rights ------------------------------------------------------------------------------------------------------------------
if [ "$(id -u)" = 0 ] && setpriv --inh-caps=+dac_read_search --ambient-caps=+dac_read_search true 2>/dev/null; then
    host other none 'hooks: {before: [[sh, -c, "grep CapEff /proc/self/status; id -u"]]}'
    echo secret >"$source/of-root"
    chmod 600 "$source/of-root"
    chmod 755 "$source"
    repo=$tree/other/repositories/p
    mkdir -p "$state" "${repo%/*}"
    sed -i "s|^repository: .*|repository: $repo|" "$config/policies/p.yaml"
    chown -R 12345:12345 "$state" "$config/keys" "${repo%/*}"
    chmod 755 "$tree" "$tree/other" "$config" "$config/policies"
    as_user() { setpriv --reuid=12345 --regid=12345 --clear-groups "$@"; }
    is 0 "init as the user" as_user "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" init p
    is 3 "without the right to read, root's file is left out, and told" as_user "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p
    is 0 "with CAP_DAC_READ_SEARCH it is read" setpriv --reuid=12345 --regid=12345 --clear-groups --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search \
        "$BKD_BIN/bkd" --config-dir "$config" --state-dir "$state" backup p -v --json
    says "hooks do not have the right" 'CapEff:.t0000000000000000'
    echo more >>"$source/of-root"
    is 0 "root works as the owner of the state directory, and reads it, too" run_bkd backup p -v --json
    says "its hooks are the owner's, without the right" 'CapEff:.t0000000000000000.n12345'
    is 0 "no file there became root's" sh -c "! find '$state' '$repo' ! -uid 12345 | grep ."
    is 0 "run --due as root" run_bkd run --due
    is 0 "still no file is root's" sh -c "! find '$state' '$repo' ! -uid 12345 | grep ."
    chown -R 0:0 "$config/keys" # bkd-restore is root's here, and trusts root's files
    is 0 "a restore" restore latest
    is 0 "what was read is what there is" sh -c "cmp \"\$(find '$tree/restored' -name of-root)\" '$source/of-root'"
else
    skip "rights" "needs root and CAP_DAC_READ_SEARCH"
fi
finish
