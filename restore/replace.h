// Putting something that was made aside in the place of a name, in the same directory, at one moment: never through a link, and only when what
// stands there is still what was looked at.
#ifndef BKD_RESTORE_REPLACE_H
#define BKD_RESTORE_REPLACE_H

#include "restore/target.h"

// `part` becomes `name`. old NULL: the name must be free (ERROR_EXISTS). Else the inode `old` has the name now and is removed; when it is a
// directory that is not empty, only with `all_but`: all it holds goes too, unless something is mounted there or the directory `all_but` is among
// it. Otherwise ERROR_EXISTS and everything is as before.
// ERROR_FAILED when another inode has the name by now. On failure `part` still stands aside.
MUST_USE int replace_name(const struct io *io, int dirfd, const char *part, const char *name, const struct target_id *old,
                          const struct target_id *all_but, struct error *err);

// Removes what stands aside under `part`, whatever it is; nothing there is fine.
void replace_discard(const struct io *io, int dirfd, const char *part);

#endif
