// Reading the "key value…" texts of a repository line by line, strictly: what the caller does not ask for next is an error.
#ifndef BKD_REPO_LINES_H
#define BKD_REPO_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/bytes.h"
#include "bkd/base/error.h"
#include "bkd/repo/place.h"

struct lines {
    struct cursor rest;
    const char *line; // the line not yet taken, without LF; NULL at the end
    size_t len;
    size_t number;    // of that line, from 1
    const char *what; // "head", for errors
    bool ignore_x;    // lines beginning with "x-" are passed over, after the first
    bool torn;        // the text does not end with LF
};

void lines_init(struct lines *l, const void *text, size_t n, const char *what, bool ignore_x);
// True when the next line is "key" or begins with "key "; it is taken and *ret_value, of *ret_len bytes, is what follows the space.
bool lines_take(struct lines *l, const char *key, const char **ret_value, size_t *ret_len);
// True when everything was taken and the text ended with LF.
bool lines_ended(const struct lines *l);
// ERROR_FORMAT: what was expected, and the line that is there instead.
int lines_expected(const struct lines *l, const char *expected, struct error *err);

// The words of a value: separated by single spaces. False when there is none left or it is empty.
bool lines_word(const char **value, size_t *len, const char **ret_word, size_t *ret_len);
// The next word as …; false when it is not one.
bool lines_u64(const char **value, size_t *len, uint64_t max, uint64_t *ret_number);
bool lines_hex(const char **value, size_t *len, uint8_t *ret_bytes, size_t n);
bool lines_place(const char **value, size_t *len, struct place *ret_place);
// True when the value has no words left.
static inline bool lines_no_more(const char *value) { return value == NULL; }

#endif
