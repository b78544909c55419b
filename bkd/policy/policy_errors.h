// The mistakes found in one policy file, and how they are shown.
#ifndef BKD_POLICY_POLICY_ERRORS_H
#define BKD_POLICY_POLICY_ERRORS_H

#include <stdbool.h>
#include <stddef.h>

#include "bkd/base/buf.h"

struct policy_error {
    unsigned line;   // 1 is the first; 0 = the file as a whole
    unsigned column; // in characters, 1 is the first
    unsigned width;  // characters to underline, at least 1
    char *message;   // one sentence
    char *hint;      // the nearest valid key and the like, "" when there is none
};

struct policy_errors {
    char *file;
    const char *noun;      // what the file is; NULL = "policy"
    struct buf text; // the file's bytes, for showing lines
    struct policy_error *items;
    size_t count;
};

// More than this many mistakes are not recorded; the last one recorded says so.
#define POLICY_ERRORS_MAX 1000u

void policy_errors_done(struct policy_errors *errors);
#define _cleanup_policy_errors_ __attribute__((cleanup(policy_errors_done)))

// Records a mistake. `hint` may be NULL. Bytes of the message that a terminal would obey become '?'.
void policy_errors_add(struct policy_errors *errors, unsigned line, unsigned column, unsigned width, const char *hint, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
bool policy_errors_on_line(const struct policy_errors *errors, unsigned line);
// By line and column; mistakes at one place stay in the order they were found.
void policy_errors_sort(struct policy_errors *errors);
// Appends "file:line:col: error: message; hint", the line and a caret below it, for each mistake.
void policy_errors_format(const struct policy_errors *errors, struct buf *ret_text);

#endif
