// Damage done on purpose to a file of a scratch copy, and undone: what a drill then has to notice. Never used on anything but a copy that was made for it.
#ifndef BKD_DR_SABOTAGE_H
#define BKD_DR_SABOTAGE_H

#include "bkd/base/io.h"

enum sabotage_kind {
    SABOTAGE_FLIP,   // one bit of the byte in the middle
    SABOTAGE_CUT,    // the file ends after 60 % of its bytes
    SABOTAGE_REMOVE,
};

// The file as it was is set aside as `path`.kept, which must not exist. The file is not empty.
MUST_USE int sabotage_do(const struct io *io, enum sabotage_kind kind, const char *path, struct error *err);
// Puts it back.
MUST_USE int sabotage_undo(const struct io *io, const char *path, struct error *err);

#endif
