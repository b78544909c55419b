#include "bkd/codec/signers.h"

#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/base/fs.h"
#include "bkd/codec/keyfile.h"
#include "bkd/codec/sshkey.h"

// ---- patterns

// "*" any characters, "?" one. Goes back to the last "*" only, so that it takes time proportional to pattern × text.
static bool match_one(const char *text, const char *pattern, const char *pattern_end)
{
    const char *star = NULL, *retry = NULL;
    while (*text != '\0') {
        if (pattern < pattern_end && *pattern == '*') {
            star = ++pattern;
            retry = text;
        } else if (pattern < pattern_end && (*pattern == '?' || *pattern == *text)) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star;
            text = ++retry;
        } else {
            return false;
        }
    }
    while (pattern < pattern_end && *pattern == '*')
        pattern++;
    return pattern == pattern_end;
}

bool signers_match(const char *text, const char *pattern_list)
{
    bool found = false;
    for (const char *at = pattern_list;;) {
        bool negated = *at == '!';
        at += negated;
        const char *end = strchrnul(at, ',');
        if (end > at && match_one(text, at, end)) {
            if (negated)
                return false;
            found = true;
        }
        if (*end == '\0')
            return found;
        at = end + 1;
    }
}

// ---- one line

struct line {
    const char *at;
    const char *end;
    unsigned number;
};

static void skip_blanks(struct line *l)
{
    while (l->at < l->end && (*l->at == ' ' || *l->at == '\t'))
        l->at++;
}

// A word, or a text in double quotes (in which \" stands for a quote). NULL when there is none.
static char *take_word(struct line *l)
{
    skip_blanks(l);
    if (l->at == l->end)
        return NULL;
    if (*l->at != '"') {
        const char *start = l->at;
        while (l->at < l->end && *l->at != ' ' && *l->at != '\t')
            l->at++;
        return xstrndup(start, (size_t)(l->at - start));
    }
    struct buf word = { 0 };
    for (l->at++; l->at < l->end && *l->at != '"'; l->at++) {
        if (*l->at == '\\' && l->at + 1 < l->end && l->at[1] == '"')
            l->at++;
        buf_add_char(&word, *l->at);
    }
    if (l->at == l->end) {
        buf_done(&word);
        return NULL;
    }
    l->at++;
    return word.data == NULL ? xstrdup("") : buf_take_str(&word);
}

// "YYYYMMDD", "YYYYMMDDHHMM" or "YYYYMMDDHHMMSS", with "Z" in UTC, else in local time, as ssh-keygen reads them.
static bool parse_time(const char *text, uint64_t *ret_s)
{
    size_t n = strlen(text);
    bool utc = n > 0 && text[n - 1] == 'Z';
    n -= utc;
    if ((n != 8 && n != 12 && n != 14) || strspn(text, "0123456789") < n)
        return false;
    struct tm tm = { .tm_isdst = -1 };
    char digits[15] = "00000000000000";
    memcpy(digits, text, n);
    if (sscanf(digits, "%4d%2d%2d%2d%2d%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
        return false;
    if (tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 59)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int day = tm.tm_mday;
    time_t t = utc ? timegm(&tm) : mktime(&tm);
    if (t < 0 || tm.tm_mday != day) // the 31st of a month of 30 days
        return false;
    *ret_s = (uint64_t)t;
    return true;
}

// name="value" at the start of the line's rest. NULL when another option stands there; *ret_bad when this one is malformed.
static char *take_option(struct line *l, const char *name, bool *ret_bad)
{
    size_t n = strlen(name);
    if ((size_t)(l->end - l->at) < n || strncasecmp(l->at, name, n) != 0 || l->at + n == l->end || l->at[n] != '=')
        return NULL;
    l->at += n + 1;
    char *value = l->at < l->end && *l->at == '"' ? take_word(l) : NULL;
    if (value == NULL)
        *ret_bad = true;
    return value;
}

static int take_time_option(struct line *l, const char *name, uint64_t *ret_s, bool *ret_taken, struct error *err)
{
    bool bad = false;
    _cleanup_free_ char *value = take_option(l, name, &bad);
    if (value == NULL && !bad)
        return 0;
    *ret_taken = true;
    if (bad || !parse_time(value, ret_s))
        return error_set(err, ERROR_FORMAT, "line %u: %s needs a time as \"20261231\" or \"202612312359Z\"", l->number, name);
    return 0;
}

static int take_options(struct line *l, struct signers_entry *e, struct error *err)
{
    for (;;) {
        bool bad = false, taken = false;
        size_t left = (size_t)(l->end - l->at);
        if (left >= 14 && strncasecmp(l->at, "cert-authority", 14) == 0)
            return error_set(err, ERROR_FORMAT, "line %u: cert-authority is not supported; list the keys themselves", l->number);
        char *namespaces = take_option(l, "namespaces", &bad);
        if (bad || (namespaces != NULL && e->namespaces != NULL)) {
            free(namespaces);
            return error_set(err, ERROR_FORMAT, "line %u: namespaces needs one value in double quotes", l->number);
        }
        if (namespaces != NULL) {
            e->namespaces = namespaces;
            taken = true;
        }
        int r = taken ? 0 : take_time_option(l, "valid-after", &e->valid_after_s, &taken, err);
        if (r == 0 && !taken)
            r = take_time_option(l, "valid-before", &e->valid_before_s, &taken, err);
        if (r < 0)
            return r;
        if (!taken)
            return error_set(err, ERROR_FORMAT, "line %u: neither a key type nor an option that is known here", l->number);
        if (l->at < l->end && *l->at == ',') {
            l->at++;
            continue;
        }
        if (l->at < l->end && *l->at != ' ' && *l->at != '\t')
            return error_set(err, ERROR_FORMAT, "line %u: options are separated by commas", l->number);
        skip_blanks(l);
        return 0;
    }
}

// Key types of OpenSSH; an option cannot begin like this.
static bool at_key_type(const struct line *l)
{
    static const char *const starts[] = { "ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-" };
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if ((size_t)(l->end - l->at) > strlen(starts[i]) && memcmp(l->at, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

// Fills *e; *ret_use is false for a key of another type.
static int parse_line(struct line *l, struct signers_entry *e, bool *ret_use, struct error *err)
{
    e->line = l->number;
    e->valid_before_s = UINT64_MAX;
    e->principals = take_word(l);
    if (e->principals == NULL || *e->principals == '\0')
        return error_set(err, ERROR_FORMAT, "line %u: principals are missing", l->number);
    skip_blanks(l);
    if (l->at < l->end && !at_key_type(l)) {
        int r = take_options(l, e, err);
        if (r < 0)
            return r;
    }
    if (!at_key_type(l))
        return error_set(err, ERROR_FORMAT, "line %u: the key is missing ('ssh-ed25519 AAAA…')", l->number);
    if (e->valid_after_s >= e->valid_before_s)
        return error_set(err, ERROR_FORMAT, "line %u: valid-before is not later than valid-after", l->number);
    *ret_use = (size_t)(l->end - l->at) > 12 && memcmp(l->at, "ssh-ed25519 ", 12) == 0;
    if (*ret_use && sshkey_public_parse(l->at, (size_t)(l->end - l->at), e->public_key, err) < 0)
        return error_prefix(err, "line %u", l->number);
    return 0;
}

static void entry_done(struct signers_entry *e)
{
    free(e->principals);
    free(e->namespaces);
}

int signers_parse(const char *text, size_t n, struct signers *ret_signers, struct error *err)
{
    if (n > SIGNERS_FILE_MAX)
        return error_set(err, ERROR_FORMAT, "larger than a file of signers may be (%u bytes)", SIGNERS_FILE_MAX);
    if (n > 0 && memchr(text, '\0', n) != NULL)
        return error_set(err, ERROR_FORMAT, "not a text: it holds a NUL byte");
    _cleanup_signers_ struct signers signers = { 0 };
    struct line l = { .number = 0 };
    for (const char *at = text, *end = text + n; at < end;) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        l = (struct line){ at, lf == NULL ? end : lf, l.number + 1 };
        at = lf == NULL ? end : lf + 1;
        if (l.end > l.at && l.end[-1] == '\r')
            l.end--;
        skip_blanks(&l);
        if (l.at == l.end || *l.at == '#')
            continue;
        if (signers.n == SIGNERS_MAX)
            return error_set(err, ERROR_FORMAT, "more than %d signers", SIGNERS_MAX);
        struct signers_entry e = { 0 };
        bool use = false;
        int r = parse_line(&l, &e, &use, err);
        if (r < 0 || !use) {
            entry_done(&e);
            if (r < 0)
                return r;
            continue;
        }
        signers.list = xrealloc(signers.list, (signers.n + 1) * sizeof *signers.list);
        signers.list[signers.n++] = e;
    }
    *ret_signers = signers;
    signers = (struct signers){ 0 };
    return 0;
}

int signers_load(const struct io *io, int dirfd, const char *path, struct signers *ret_signers, struct error *err)
{
    struct statx st;
    _cleanup_buf_ struct buf text = { 0 };
    int r = io_stat(io, dirfd, path, 0, &st, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(
            err, ERROR_KEY,
            "there is no signers file '%s': it says whose signatures count, and comes from you, not from the repository", path);
    if (r < 0)
        return r;
    if (S_ISREG(st.stx_mode) && (st.stx_mode & 022) != 0)
        return error_set(err, ERROR_KEY, "signers file '%s' can be changed by others (mode %04o): run chmod go-w on it", path,
                         st.stx_mode & 07777u);
    if (st.stx_uid != geteuid() && st.stx_uid != 0)
        return error_set(err, ERROR_KEY, "signers file '%s' belongs to another user (uid %u): chown it, or make a copy", path,
                         st.stx_uid);
    r = fs_read_file(io, dirfd, path, SIGNERS_FILE_MAX, &text, err);
    if (r < 0)
        return r;
    r = keyfile_wrong(signers_parse(buf_str(&text), text.len, ret_signers, err), err);
    return r < 0 ? error_prefix(err, "'%s'", path) : 0;
}

void signers_done(struct signers *signers)
{
    for (size_t i = 0; i < signers->n; i++)
        entry_done(&signers->list[i]);
    free(signers->list);
    *signers = (struct signers){ 0 };
}

int signers_find(const struct signers *signers, const uint8_t public_key[CURVE_KEY_SIZE], const char *name_space, uint64_t time_s,
                 const char *principal, const struct signers_entry **ret_entry, struct error *err)
{
    char fingerprint[SSHKEY_FINGERPRINT_SIZE];
    sshkey_fingerprint(public_key, fingerprint);
    const struct signers_entry *close = NULL;
    const char *missing = NULL;
    for (size_t i = 0; i < signers->n; i++) {
        const struct signers_entry *e = &signers->list[i];
        if (!curve_equal(e->public_key, public_key, CURVE_KEY_SIZE))
            continue;
        close = e;
        if (principal != NULL && !signers_match(principal, e->principals))
            missing = "stands for another principal";
        else if (e->namespaces != NULL && !signers_match(name_space, e->namespaces))
            missing = "may not sign for this purpose";
        else if (time_s < e->valid_after_s)
            missing = "was not valid yet at that time";
        else if (time_s > e->valid_before_s)
            missing = "was no longer valid at that time";
        else {
            *ret_entry = e;
            return 0;
        }
    }
    if (close == NULL)
        return error_set(err, ERROR_INTEGRITY, "signed by a key that is not among the signers: %s", fingerprint);
    return error_set(err, ERROR_INTEGRITY, "signed by %s (line %u of the signers file), which %s (namespace '%s')", fingerprint,
                     close->line, missing, name_space);
}
