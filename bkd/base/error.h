// Errors as values. A function that can fail returns 0 or one of the negative codes below and fills `struct error`;
// the source of the failure says what ("open 'x'"), each caller on the way up adds which ("policy web: …").
// The text lives in a fixed array, so that reporting a failure needs no memory.
#ifndef BKD_BASE_ERROR_H
#define BKD_BASE_ERROR_H

#include <stdarg.h>
#include <stddef.h>

#define ERROR_TEXT_MAX 1024

// The closed list of failures a caller branches on. error_exit_code() maps them to the exit codes of bkd(1).
enum error_code {
    ERROR_NONE = 0,
    ERROR_FAILED = -1,      // anything not listed below
    ERROR_USAGE = -2,       // command line or policy is wrong
    ERROR_INTEGRITY = -3,   // stored bytes are not what was signed or hashed
    ERROR_OBJECTIVE = -4,   // a promise (RPO, RTO) was missed
    ERROR_BUSY = -5,        // somebody else holds the lock
    ERROR_NO_SPACE = -6,    // ENOSPC, EDQUOT
    ERROR_UNREACHABLE = -7, // a store cannot be reached; later may work
    ERROR_KEY = -8,         // a key is missing, wrong or unsafe
    ERROR_NOT_FOUND = -9,   // the named thing does not exist
    ERROR_EXISTS = -10,     // an exclusive creation found the name taken
    ERROR_FORMAT = -11,     // bytes from outside do not follow their format
    ERROR_INCOMPLETE = -12, // done, but something was left out (exit 3)
};

struct error {
    enum error_code code;
    int os_errno; // 0 where no system call failed
    char text[ERROR_TEXT_MAX];
};

// Sets code and text (printf format); returns the code, so that `return error_set(...)` reads well.
int error_set(struct error *err, enum error_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

// As error_set, for a failed system call: appends ": " and the text of `os_errno`. ENOSPC and EDQUOT become ERROR_NO_SPACE,
// ENOENT ERROR_NOT_FOUND, EEXIST ERROR_EXISTS, everything else ERROR_FAILED. Returns the code.
int error_set_errno(struct error *err, int os_errno, const char *format, ...) __attribute__((format(printf, 3, 4)));

// Puts "<text>: " before what the error says; the code stays. Returns the code.
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The process exit code (0..9, see bkd(1)) that belongs to an error code.
int error_exit_code(enum error_code code);

// A stable lower-case word for an error code ("no-space"), used in JSON.
const char *error_code_name(enum error_code code);

#define MUST_USE __attribute__((warn_unused_result))

#endif
