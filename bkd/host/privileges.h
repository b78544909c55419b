// Rights: whoever works on a state directory is its owner, so that no file in it ever becomes another user's. Built on libcap-ng, which is included nowhere else.
#ifndef BKD_HOST_PRIVILEGES_H
#define BKD_HOST_PRIVILEGES_H

#include <stdbool.h>

#include "bkd/base/io.h"

// Root that works on the state directory of another user becomes that user (as pg_ctlcluster(1) does), and keeps one right: to read every file
// (CAP_DAC_READ_SEARCH, also for the runs it starts; not for hooks). Nothing happens when this process is not root's, or the directory is root's or not there.
// *ret_joined: it is another user now.
MUST_USE int privileges_join_owner(const struct io *io, const char *state_dir, bool *ret_joined, struct error *err);

#endif
