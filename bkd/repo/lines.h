// The "key value…" texts of a repository, line by line. Reading is strict: what the caller does not ask for next is an error.
#ifndef BKD_REPO_LINES_H
#define BKD_REPO_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/bytes.h"
#include "bkd/base/error.h"
#include "bkd/repo/place.h"

#define LINES_LABEL_MAX 255

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

// The first line, which is exactly `first`: the kind of text and "/" and its version of one digit. A later version gets a message of its own.
MUST_USE int lines_take_first(struct lines *l, const char *first, struct error *err);

// Takes the next line, which must be "key " and something the condition accepts; `v` and `n` of the caller hold the value.
#define LINES_NEED(l, key, condition) \
    do { \
        if (!lines_take(l, key, &v, &n) || !(condition)) \
            return lines_expected(l, key, err); \
    } while (0)
#define LINES_ONLY(condition) ((condition) && lines_no_more(v))

// The words of a value: separated by single spaces. False when there is none left or it is empty.
bool lines_word(const char **value, size_t *len, const char **ret_word, size_t *ret_len);
// The next word as …; false when it is not one.
bool lines_u64(const char **value, size_t *len, uint64_t max, uint64_t *ret_number);
bool lines_hex(const char **value, size_t *len, uint8_t *ret_bytes, size_t n);
bool lines_place(const char **value, size_t *len, struct place *ret_place);
// True when the value has no words left.
static inline bool lines_no_more(const char *value) { return value == NULL; }

// A whole value as …; false when it is not one.
bool lines_is_dash(const char *value, size_t n);
bool lines_label(const char *value, size_t n, char ret_label[LINES_LABEL_MAX + 1]); // unescaped; not empty
bool lines_time(const char *value, size_t n, uint64_t *ret_time_ns);

// Writing: append "key value\n".
void lines_add_hex(struct buf *out, const char *key, const uint8_t *bytes, size_t n);
void lines_add_number(struct buf *out, const char *key, uint64_t value);
void lines_add_time(struct buf *out, const char *key, uint64_t time_ns);
void lines_add_label(struct buf *out, const char *key, const char *label);

#endif
