// bkd drill …: what is rehearsed before it is needed.
#include "bkd/base/interrupt.h"
#include "bkd/by_hand.h"
#include "bkd/drilling.h"
#include "bkd/key_drill.h"
#include "bkd/negative.h"

int cmd_drill_by_hand(struct cmd_context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_drilling_ struct drilling d = { 0 };
    interrupt_install();
    int r = drilling_begin(ctx, args, BY_HAND_KIND, "the newest snapshot is rebuilt with the repository's recover.sh and stock tools, where bkd is not installed", true, &d, err);
    if (r == 0)
        r = by_hand_run(&d, err);
    return drilling_end(&d, r, "the tree that recover.sh made was compared with the manifest, entry by entry and hash by hash", err);
}

int cmd_drill_key(struct cmd_context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_drilling_ struct drilling d = { 0 };
    if (cli_args_option(args, "identity") == NULL)
        return error_set(err, ERROR_USAGE, "bring the key that lies offline, and name its file: bkd drill key %s -i recovery.txt", cli_args_value(args, 0));
    int r = drilling_begin(ctx, args, KEY_DRILL_KIND, "the key that lies offline opens the newest snapshot", true, &d, err);
    if (r == 0)
        r = key_drill_run(&d, err);
    return drilling_end(&d, r, "the key opened an object of the newest snapshot, whole", err);
}

int cmd_drill_negative(struct cmd_context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_drilling_ struct drilling d = { 0 };
    interrupt_install();
    int r = drilling_begin(ctx, args, NEGATIVE_KIND, "damage and deceit, tried on a scratch copy of the newest snapshot, are noticed", false, &d, err);
    if (r == 0)
        r = negative_run(&d, err);
    return drilling_end(&d, r, "each trick that was tried had to be noticed by bkd check and bkd-restore", err);
}
