// The table of bkd-restore's commands: dispatch, help, completion and the command list of bkd-restore(1) come from it.
#ifndef BKD_RESTORE_VERBS_H
#define BKD_RESTORE_VERBS_H

#include "bkd/base/cli.h"

const struct cli_program *verbs_program(void);

#endif
