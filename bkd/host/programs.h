// Running bkd's own programs in the foreground, as a person would: with this terminal, its Ctrl-C and its standard streams, so that passphrases
// can be asked for and progress is seen. (Programs of others, which must not have any of that, are run by bkd/base/proc.)
#ifndef BKD_HOST_PROGRAMS_H
#define BKD_HOST_PROGRAMS_H

#include <stdbool.h>
#include <sys/types.h>

#include "bkd/base/error.h"

// The program beside the one that is running; where there is none, the name itself, to be found in PATH. Caller frees.
char *programs_path(const char *name);

// Runs it to its end. argv[0] is from programs_path, NULL ends the list. discard_output: standard output goes to /dev/null. *ret_code is its exit
// code. SIGTERM and SIGHUP are passed on to it, and then its end is ERROR_FAILED whatever it says. ERROR_NOT_FOUND when there is no such program, ERROR_FAILED when
// it cannot be started or ended by a signal.
MUST_USE int programs_run(const char *const *argv, bool discard_output, int *ret_code, struct error *err);

// Starts it in the background, in a session of its own: it outlives this process. It reads nothing, its standard output goes to /dev/null (what a terminal or a pipe
// there becomes must not decide how it ends), its messages go where ours go. env ends with NULL. The caller waits for *ret_pid.
MUST_USE int programs_start(const char *const *argv, const char *const *env, pid_t *ret_pid, struct error *err);

// The error that an exit code of bkd or bkd-restore stands for; ERROR_NONE for 0.
enum error_code programs_error(int exit_code);

#endif
