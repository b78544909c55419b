// bkd drill …: what is rehearsed before it is needed.
#include <string.h>

#include "bkd/base/interrupt.h"
#include "bkd/base/shell.h"
#include "bkd/cmd.h"
#include "bkd/drills/by_hand.h"
#include "bkd/drills/drilling.h"
#include "bkd/drills/key_drill.h"
#include "bkd/drills/negative.h"

// bkd-restore and recover.sh read the identity themselves, more than once.
static int check_identity(const struct cli_args *args, struct error *err)
{
    const char *identity = cli_args_option(args, "identity");
    if (identity == NULL || strcmp(identity, "-") != 0)
        return 0;
    return error_set(err, ERROR_USAGE, "this drill takes an identity in a file; only `bkd drill key` reads one from standard input");
}

int cmd_drill_by_hand(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_drilling_ struct drilling d = { 0 };
    interrupt_install();
    int r = check_identity(args, err);
    if (r == 0)
        r = drilling_begin(ctx, args, BY_HAND_KIND, "the newest snapshot is rebuilt with the repository's recover.sh and stock tools, where bkd is not installed", true, &d, err);
    if (r == 0)
        r = by_hand_run(&d, err);
    return drilling_end(&d, r, "the tree that recover.sh made was compared with the manifest, entry by entry and hash by hash", err);
}

int cmd_drill_key(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_drilling_ struct drilling d = { 0 };
    const struct unlock key = { .identity = cli_args_option(args, "identity"), .passphrase_file = cli_args_option(args, "passphrase-file"),
                                .passphrase_command = cli_args_option(args, "passphrase-command") };
    _cleanup_free_ char *policy = shell_word(cli_args_value(args, 0));
    if (key.identity == NULL)
        return error_set(err, ERROR_USAGE, "bring the key that lies offline, and name its file: bkd drill key %s -i recovery.txt (-i - to type it in)", policy);
    if (key.passphrase_file != NULL && key.passphrase_command != NULL)
        return error_set(err, ERROR_USAGE, "the passphrase comes from --passphrase-file or from --passphrase-command, not from both");
    int r = drilling_begin(ctx, args, KEY_DRILL_KIND, "the key that lies offline opens the newest snapshot", true, &d, err);
    if (r == 0)
        r = key_drill_run(&d, &key, err);
    return drilling_end(&d, r, "the key opened an object of the newest snapshot, whole", err);
}

int cmd_drill_negative(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_drilling_ struct drilling d = { 0 };
    interrupt_install();
    int r = check_identity(args, err);
    if (r == 0)
        r = drilling_begin(ctx, args, NEGATIVE_KIND, "damage and deceit, tried on a scratch copy of the newest snapshot, are noticed", false, &d, err);
    if (r == 0)
        r = negative_run(&d, err);
    return drilling_end(&d, r, "each trick that was tried had to be noticed by bkd check and bkd-restore", err);
}
