#!/bin/sh
# Random cycles of backups, changes, retention, copies, holds, kills, clock jumps and losses against a model, see cycles.py. BKD_SEED and BKD_CYCLES ask for others and for more.
. "$(dirname "$0")/lib.sh"
[ -n "$faketime_library" ] && command -v python3 >/dev/null || { echo "1..0 # SKIP needs faketime and python3"; exit 77; }
for encryption in age none; do
    is 0 "whatever is listed restores to what it was ($encryption, seed $seed)" \
        python3 "$(dirname "$0")/cycles.py" "$tree/cycles-$encryption" "$seed" "${BKD_CYCLES:-25}" "$BKD_BIN" "$faketime_library" "$encryption"
    says "snapshots were made" '^done: [1-9]'
done
finish
