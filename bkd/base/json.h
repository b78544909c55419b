// JSON lines: what --json prints, one object a line, and reading such objects back.
//
// Every line is made by json_line_new(type) and so starts with "type" and "schema":1. Lines are pure ASCII (other
// characters as \uXXXX), so nothing a file is named can reach a terminal raw.
//
// Names that are not valid UTF-8: json_add_name and json_add_str write each undecodable byte as U+FFFD under "KEY" and,
// only then, the exact bytes under "KEY_bytes", percent-encoded as in RFC 3986 section 2.1 (everything but letters,
// digits and "-._~/" as %XX). A reader that wants the exact name decodes KEY_bytes when it is there, else takes KEY.
//
// Numbers are integers up to INT64_MAX; a larger uint64_t is written as INT64_MAX. Times: json_add_time, RFC 3339 UTC.
// The only module that includes jansson.h. Running out of memory ends the process.
#ifndef BKD_BASE_JSON_H
#define BKD_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"

struct json; // an object or an array; json_add_object/json_add_array return values owned by their parent

#define JSON_SCHEMA 1

// A new object {"type":type,"schema":1}; free with json_free, or print it with json_line_print.
struct json *json_line_new(const char *type);
struct json *json_object_new(void); // an empty object, for what is not a line of --json
void json_free(struct json **json);
#define _cleanup_json_ __attribute__((cleanup(json_free)))

void json_add_str(struct json *object, const char *key, const char *value); // NULL becomes null
void json_add_name(struct json *object, const char *key, const void *bytes, size_t n);
void json_add_u64(struct json *object, const char *key, uint64_t value);
void json_add_i64(struct json *object, const char *key, int64_t value);
void json_add_double(struct json *object, const char *key, double value); // not finite becomes null
void json_add_bool(struct json *object, const char *key, bool value);
void json_add_null(struct json *object, const char *key);
void json_add_time(struct json *object, const char *key, uint64_t realtime_ns);
void json_add_hex(struct json *object, const char *key, const uint8_t *bytes, size_t n);
struct json *json_add_object(struct json *object, const char *key); // owned by its parent
struct json *json_add_array(struct json *object, const char *key);  // owned by its parent
// Appending to an array. Strings that are not UTF-8 lose their exact bytes here: use objects where that matters.
void json_append_str(struct json *array, const char *value);
struct json *json_append_object(struct json *array); // owned by its parent

// The object on one line without LF, appended to *ret_text.
void json_format(const struct json *json, struct buf *ret_text);
// Prints the object and an LF with one write, flushes, and frees the object, whatever happens. ERROR_FAILED (or NO_SPACE)
// when the stream does not take it.
MUST_USE int json_line_print(struct json **line, FILE *stream, struct error *err);

// Parses one JSON object or array of n bytes (at most 1 MiB). ERROR_FORMAT with line and column.
#define JSON_PARSE_MAX (1u << 20)
MUST_USE int json_parse(const void *text, size_t n, struct json **ret_json, struct error *err);
// Reading: false (or NULL) when the key is missing or of another type. Returned pointers belong to the object.
const char *json_get_str(const struct json *object, const char *key);
bool json_get_u64(const struct json *object, const char *key, uint64_t *ret_value);
uint64_t json_number(const struct json *object, const char *key); // the same, where 0 stands for all that is none; the object may be NULL
bool json_get_bool(const struct json *object, const char *key, bool *ret_value);
const struct json *json_get(const struct json *object, const char *key); // an object or array
size_t json_length(const struct json *array);
const struct json *json_at(const struct json *array, size_t index); // an object or array
const char *json_str_at(const struct json *array, size_t index);

#endif
