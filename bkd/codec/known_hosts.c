#include "bkd/codec/known_hosts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"

#define HASH_SIZE 20   // SHA-1
#define BLOB_MAX 8192u // of an RSA key of 16384 bits there are 2 KiB

char *known_hosts_name(const char *host, unsigned port) { return port == 22 ? xstrdup(host) : xasprintf("[%s]:%u", host, port); }

// ---- does a line concern the host?

// "*" and "?" as in OpenSSH's match.c; letters in either case. The time is at most pattern x name: the last star is the only one returned to.
static bool matches(const char *pattern, size_t n, const char *name)
{
    size_t p = 0, star = n;
    const char *back = NULL;
    while (*name != '\0') {
        if (p < n && pattern[p] == '*') {
            star = p++;
            back = name;
        } else if (p < n && (pattern[p] == '?' || tolower((unsigned char)pattern[p]) == tolower((unsigned char)*name))) {
            p++;
            name++;
        } else if (back != NULL) {
            p = star + 1;
            name = ++back;
        } else {
            return false;
        }
    }
    while (p < n && pattern[p] == '*')
        p++;
    return p == n;
}

// "|1|SALT|HASH", both base64: HMAC-SHA-1 of the name under the salt.
static bool matches_hashed(const char *word, size_t n, const char *name)
{
    uint8_t salt[HASH_SIZE], hash[HASH_SIZE], mine[HASH_SIZE];
    size_t salt_len, hash_len;
    const char *bar = memchr(word + 3, '|', n - 3);
    if (bar == NULL || !base64_decode(word + 3, (size_t)(bar - word - 3), true, salt, sizeof salt, &salt_len) ||
        !base64_decode(bar + 1, n - (size_t)(bar + 1 - word), true, hash, sizeof hash, &hash_len) || hash_len != sizeof hash)
        return false;
    crypto_hmac_sha1(salt, salt_len, name, strlen(name), mine);
    return memcmp(mine, hash, sizeof mine) == 0;
}

static bool concerns(const char *names, size_t n, const char *name)
{
    bool found = false;
    if (n > 3 && memcmp(names, "|1|", 3) == 0)
        return matches_hashed(names, n, name);
    for (size_t at = 0; at <= n;) {
        const char *word = names + at;
        const char *comma = memchr(word, ',', n - at);
        size_t len = comma == NULL ? n - at : (size_t)(comma - word);
        bool negated = len > 0 && word[0] == '!';
        if (matches(word + negated, len - negated, name)) {
            if (negated)
                return false;
            found = true;
        }
        at += len + 1;
    }
    return found;
}

// ---- lines

struct line {
    const char *type;
    size_t type_len;
    uint8_t blob[BLOB_MAX];
    size_t blob_len;
};

static bool next_word(const char **at, const char *end, const char **ret_word, size_t *ret_len)
{
    while (*at < end && (**at == ' ' || **at == '\t'))
        ++*at;
    *ret_word = *at;
    while (*at < end && **at != ' ' && **at != '\t')
        ++*at;
    *ret_len = (size_t)(*at - *ret_word);
    return *ret_len > 0;
}

// A line that concerns the host, taken apart: 1; one that does not, or is no line of keys: 0.
static int read_line(const char *text, size_t n, const char *name, struct line *ret_line, struct error *err)
{
    const char *at = text, *end = text + n, *word, *marker = NULL;
    size_t len, marker_len = 0;
    while (end > at && (end[-1] == '\r' || end[-1] == ' '))
        end--;
    if (!next_word(&at, end, &word, &len) || word[0] == '#')
        return 0;
    if (word[0] == '@') {
        marker = word;
        marker_len = len;
        if (!next_word(&at, end, &word, &len))
            return 0;
    }
    if (!concerns(word, len, name))
        return 0;
    if (marker != NULL)
        return error_set(err, ERROR_KEY, "known_hosts has a line with '%.*s' for %s, which is not supported: replace it by the host's own key", (int)marker_len,
                         marker, name);
    const char *key;
    size_t key_len;
    if (!next_word(&at, end, &ret_line->type, &ret_line->type_len) || !next_word(&at, end, &key, &key_len) ||
        !base64_decode(key, key_len, true, ret_line->blob, sizeof ret_line->blob, &ret_line->blob_len))
        return error_set(err, ERROR_KEY, "known_hosts has a line for %s that cannot be read: remove it and pin the key anew", name);
    return 1;
}

// Calls `use` for each line that concerns the host.
static int each_line(const void *text, size_t n, const char *name, void (*use)(void *arg, const struct line *line), void *arg, struct error *err)
{
    const char *at = text, *end = at + n;
    struct line *line = xmalloc(sizeof *line);
    int r = 0;
    while (r >= 0 && at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        const char *stop = lf == NULL ? end : lf;
        r = read_line(at, (size_t)(stop - at), name, line, err);
        if (r == 1)
            use(arg, line);
        at = stop + 1;
    }
    free(line);
    return r < 0 ? r : 0;
}

struct wanted {
    const uint8_t *blob;
    size_t blob_len;
    enum known_hosts_answer answer;
};

static void compare(void *arg, const struct line *line)
{
    struct wanted *w = arg;
    if (line->blob_len == w->blob_len && memcmp(line->blob, w->blob, w->blob_len) == 0)
        w->answer = KNOWN_HOSTS_MATCH;
    else if (w->answer == KNOWN_HOSTS_UNKNOWN)
        w->answer = KNOWN_HOSTS_CHANGED;
}

int known_hosts_find(const void *text, size_t n, const char *name, const uint8_t *blob, size_t blob_len, enum known_hosts_answer *ret_answer,
                     struct error *err)
{
    struct wanted w = { blob, blob_len, KNOWN_HOSTS_UNKNOWN };
    int r = each_line(text, n, name, compare, &w, err);
    if (r == 0)
        *ret_answer = w.answer;
    return r;
}

static void add_type(void *arg, const struct line *line)
{
    struct buf *types = arg;
    for (const char *p = buf_str(types); *p != '\0';) {
        size_t len = strcspn(p, ",");
        if (len == line->type_len && memcmp(p, line->type, len) == 0)
            return;
        p += len + (p[len] == ',');
    }
    if (types->len > 0)
        buf_add_char(types, ',');
    buf_add(types, line->type, line->type_len);
}

int known_hosts_types(const void *text, size_t n, const char *name, struct buf *ret_types, struct error *err)
{
    _cleanup_buf_ struct buf types = { 0 };
    int r = each_line(text, n, name, add_type, &types, err);
    if (r == 0)
        buf_add(ret_types, types.data, types.len);
    return r;
}

// Is it for this host alone? Its names are one, that of the host, as it is or hashed.
static bool is_own(const char *text, size_t n, const char *name)
{
    const char *at = text, *word;
    size_t len;
    if (!next_word(&at, text + n, &word, &len))
        return false;
    return (len == strlen(name) && strncasecmp(word, name, len) == 0) || (len > 3 && memcmp(word, "|1|", 3) == 0 && matches_hashed(word, len, name));
}

int known_hosts_without(const void *text, size_t n, const char *name, struct buf *ret_text, struct error *err)
{
    const char *at = text, *end = at + n;
    struct line *line = xmalloc(sizeof *line);
    int r = 0;
    while (r >= 0 && at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        const char *next = lf == NULL ? end : lf + 1;
        r = read_line(at, (size_t)(next - at) - (lf != NULL), name, line, err);
        if (r == 0 || (r == 1 && !is_own(at, (size_t)(next - at), name)))
            buf_add(ret_text, at, (size_t)(next - at));
        at = next;
    }
    free(line);
    return r < 0 ? r : 0;
}

// ---- making lines

void known_hosts_line(const char *name, const uint8_t *blob, size_t blob_len, struct buf *ret_line)
{
    struct cursor c = cursor_of(blob, blob_len);
    const uint8_t *type = (const uint8_t *)"";
    uint32_t type_len = 0;
    if (!cursor_u32be(&c, &type_len) || !cursor_take(&c, type_len, &type))
        type_len = 0;
    buf_addf(ret_line, "%s %.*s ", name, (int)type_len, (const char *)type);
    buf_reserve(ret_line, (blob_len + 2) / 3 * 4 + 1);
    size_t n = base64_encode((char *)ret_line->data + ret_line->len, blob, blob_len, true);
    (void)buf_extend(ret_line, n);
    buf_add_char(ret_line, '\n');
}

void known_hosts_fingerprint(const uint8_t *blob, size_t blob_len, char ret_text[KNOWN_HOSTS_FINGERPRINT_SIZE])
{
    uint8_t digest[CRYPTO_SHA256_SIZE];
    crypto_sha256(blob, blob_len, digest);
    memcpy(ret_text, "SHA256:", 7);
    (void)base64_encode(ret_text + 7, digest, sizeof digest, false);
}
