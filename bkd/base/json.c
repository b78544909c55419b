#include "bkd/base/json.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/utf8.h"

// struct json is jansson's json_t under a name of our own, so that no other module needs jansson.h.
static json_t *inner(const struct json *json)
{
    return (json_t *)(uintptr_t)json;
}

static struct json *outer(json_t *json)
{
    assert(json != NULL); // jansson returns NULL only when memory ends (or for text that utf8_length would have refused)
    return (struct json *)json;
}

static void set(struct json *object, const char *key, json_t *value)
{
    assert(value != NULL);
    int rc = json_object_set_new(inner(object), key, value);
    assert(rc == 0);
    (void)rc;
}

struct json *json_object_new(void)
{
    return outer(json_object());
}

struct json *json_line_new(const char *type)
{
    struct json *line = json_object_new();
    json_add_str(line, "type", type);
    json_add_u64(line, "schema", JSON_SCHEMA);
    return line;
}

void json_free(struct json **json)
{
    if (*json)
        json_decref(inner(*json));
    *json = NULL;
}

// Copies text, each undecodable byte as U+FFFD; returns whether all of it was valid.
static bool to_utf8(const uint8_t *s, size_t n, struct buf *ret_text)
{
    bool valid = true;
    for (size_t i = 0; i < n;) {
        size_t len = utf8_decode(s + i, n - i, NULL);
        if (len == 0)
            buf_add_str(ret_text, "\xef\xbf\xbd");
        else
            buf_add(ret_text, s + i, len);
        valid = valid && len != 0;
        i += len ? len : 1;
    }
    return valid;
}

static void percent_encode(const uint8_t *s, size_t n, struct buf *ret_text)
{
    for (size_t i = 0; i < n; i++) {
        bool plain = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') ||
                     (s[i] != 0 && strchr("-._~/", s[i]));
        if (plain)
            buf_add_char(ret_text, (char)s[i]);
        else
            buf_addf(ret_text, "%%%02X", s[i]);
    }
}

void json_add_name(struct json *object, const char *key, const void *bytes, size_t n)
{
    _cleanup_buf_ struct buf text = { 0 };
    bool valid = to_utf8(bytes, n, &text);
    set(object, key, json_stringn(buf_str(&text), text.len));
    if (valid)
        return;
    _cleanup_buf_ struct buf exact = { 0 };
    percent_encode(bytes, n, &exact);
    _cleanup_free_ char *exact_key = xasprintf("%s_bytes", key);
    set(object, exact_key, json_string(buf_str(&exact)));
}

void json_add_str(struct json *object, const char *key, const char *value)
{
    if (value)
        json_add_name(object, key, value, strlen(value));
    else
        json_add_null(object, key);
}

static json_t *integer_from(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

void json_add_u64(struct json *object, const char *key, uint64_t value)
{
    set(object, key, integer_from(value));
}

void json_add_i64(struct json *object, const char *key, int64_t value)
{
    set(object, key, json_integer(value));
}

void json_add_double(struct json *object, const char *key, double value)
{
    set(object, key, isfinite(value) ? json_real(value) : json_null());
}

void json_add_bool(struct json *object, const char *key, bool value)
{
    set(object, key, json_boolean(value));
}

void json_add_null(struct json *object, const char *key)
{
    set(object, key, json_null());
}

void json_add_time(struct json *object, const char *key, uint64_t realtime_ns)
{
    char text[CLOCK_TEXT_MAX];
    clock_format_utc(text, realtime_ns, true);
    set(object, key, json_string(text));
}

void json_add_hex(struct json *object, const char *key, const uint8_t *bytes, size_t n)
{
    _cleanup_buf_ struct buf text = { 0 };
    buf_add_hex(&text, bytes, n);
    set(object, key, json_string(buf_str(&text)));
}

struct json *json_add_object(struct json *object, const char *key)
{
    struct json *child = json_object_new();
    set(object, key, inner(child));
    return child;
}

struct json *json_add_array(struct json *object, const char *key)
{
    struct json *child = outer(json_array());
    set(object, key, inner(child));
    return child;
}

static void append(struct json *array, json_t *value)
{
    assert(value != NULL);
    int rc = json_array_append_new(inner(array), value);
    assert(rc == 0);
    (void)rc;
}

void json_append_str(struct json *array, const char *value)
{
    _cleanup_buf_ struct buf text = { 0 };
    (void)to_utf8((const uint8_t *)value, strlen(value), &text); // the header says that exact bytes are lost here
    append(array, json_stringn(buf_str(&text), text.len));
}

struct json *json_append_object(struct json *array)
{
    struct json *child = json_object_new();
    append(array, inner(child));
    return child;
}

void json_format(const struct json *json, struct buf *ret_text)
{
    char *text = json_dumps(inner(json), JSON_COMPACT | JSON_ENSURE_ASCII);
    assert(text != NULL);
    for (const char *s = text; *s; s++) {
        size_t plain = strcspn(s, "\x7f"); // the one control character that jansson leaves as it is
        buf_add(ret_text, s, plain);
        s += plain;
        if (*s == '\0')
            break;
        buf_add_str(ret_text, "\\u007F");
    }
    free(text);
}

int json_line_print(struct json **line, FILE *stream, struct error *err)
{
    _cleanup_json_ struct json *json = TAKE(*line);
    _cleanup_buf_ struct buf text = { 0 };
    json_format(json, &text);
    buf_add_char(&text, '\n');
    errno = 0;
    if (fwrite(text.data, 1, text.len, stream) != text.len || fflush(stream) != 0)
        return error_set_errno(err, errno ? errno : EIO, "write a JSON line");
    return 0;
}

int json_parse(const void *text, size_t n, struct json **ret_json, struct error *err)
{
    if (n > JSON_PARSE_MAX)
        return error_set(err, ERROR_FORMAT, "JSON text of %zu bytes is longer than %u", n, JSON_PARSE_MAX);
    json_error_t problem;
    json_t *json = json_loadb(text, n, JSON_REJECT_DUPLICATES, &problem);
    if (!json)
        return error_set(err, ERROR_FORMAT, "JSON line %d column %d: %s", problem.line, problem.column, problem.text);
    *ret_json = outer(json);
    return 0;
}

const char *json_get_str(const struct json *object, const char *key)
{
    return json_string_value(json_object_get(inner(object), key));
}

bool json_get_u64(const struct json *object, const char *key, uint64_t *ret_value)
{
    json_t *value = json_object_get(inner(object), key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *ret_value = (uint64_t)json_integer_value(value);
    return true;
}

uint64_t json_number(const struct json *object, const char *key)
{
    uint64_t value = 0;
    return object != NULL && json_get_u64(object, key, &value) ? value : 0;
}

bool json_get_bool(const struct json *object, const char *key, bool *ret_value)
{
    json_t *value = json_object_get(inner(object), key);
    if (!json_is_boolean(value))
        return false;
    *ret_value = json_is_true(value);
    return true;
}

static const struct json *container(json_t *value)
{
    return json_is_object(value) || json_is_array(value) ? (const struct json *)value : NULL;
}

const struct json *json_get(const struct json *object, const char *key)
{
    return container(json_object_get(inner(object), key));
}

size_t json_length(const struct json *array)
{
    return json_array_size(inner(array));
}

const struct json *json_at(const struct json *array, size_t index)
{
    return container(json_array_get(inner(array), index));
}

const char *json_str_at(const struct json *array, size_t index)
{
    return json_string_value(json_array_get(inner(array), index));
}
