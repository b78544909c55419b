// The table of bkd's commands: dispatch, help, completion and the command list of bkd(1) come from it.
#ifndef BKD_COMMANDS_H
#define BKD_COMMANDS_H

#include "bkd/base/cli.h"

const struct cli_program *commands_program(void);

#endif
