#include "bkd/codec/agekeys.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/fs.h"
#include "bkd/codec/agearmor.h"
#include "bkd/codec/ageheader.h"
#include "bkd/codec/keyfile.h"

#define RECIPIENTS_FILE_MAX (256u << 10)

void age_recipients_done(struct age_recipients *recipients)
{
    free(recipients->list);
    *recipients = (struct age_recipients){ 0 };
}

void age_identities_done(struct age_identities *identities)
{
    curve_wipe(identities->list, identities->n * sizeof *identities->list);
    free(identities->list);
    *identities = (struct age_identities){ 0 };
}

struct lines {
    const char *at;
    const char *end;
    unsigned number;
};

// The next line that says something, without blanks at its end.
static bool next_line(struct lines *l, const char **ret_line, size_t *ret_len)
{
    while (l->at < l->end) {
        const char *line = l->at;
        const char *lf = memchr(line, '\n', (size_t)(l->end - line));
        size_t len = (size_t)((lf == NULL ? l->end : lf) - line);
        l->at += len + (lf != NULL);
        l->number++;
        while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' ' || line[len - 1] == '\t'))
            len--;
        if (len == 0 || line[0] == '#')
            continue;
        *ret_line = line;
        *ret_len = len;
        return true;
    }
    return false;
}

int age_recipients_parse(const char *text, size_t n, const char *name, struct age_recipients *ret_recipients, struct error *err)
{
    _cleanup_age_recipients_ struct age_recipients found = { 0 };
    found.list = xcalloc(AGE_RECIPIENTS_MAX, sizeof *found.list);
    struct lines l = { text, text + n, 0 };
    const char *line;
    size_t len;
    while (next_line(&l, &line, &len)) {
        if (found.n == AGE_RECIPIENTS_MAX)
            return error_set(err, ERROR_FORMAT, "'%s' has more than %d recipients", name, AGE_RECIPIENTS_MAX);
        struct age_recipient *next = &found.list[found.n];
        if (age_recipient_parse(line, len, next, err) < 0)
            return error_prefix(err, "'%s' line %u", name, l.number);
        for (size_t i = 0; i < found.n; i++)
            if (memcmp(&found.list[i], next, sizeof *next) == 0)
                return error_set(err, ERROR_FORMAT, "'%s' line %u: the same recipient stands there twice", name, l.number);
        found.n++;
    }
    if (found.n == 0)
        return error_set(err, ERROR_FORMAT, "'%s' holds no recipient", name);
    *ret_recipients = found;
    found.list = NULL;
    return 0;
}

int age_recipients_load(const struct io *io, int dirfd, const char *path, size_t minimum, struct age_recipients *ret_recipients,
                        struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_age_recipients_ struct age_recipients found = { 0 };
    int r = fs_read_file(io, dirfd, path, RECIPIENTS_FILE_MAX, &text, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_KEY, "there is no recipients file '%s': bkd keys init makes one", path);
    if (r == 0)
        r = keyfile_wrong(age_recipients_parse(buf_str(&text), text.len, path, &found, err), err);
    if (r < 0)
        return r;
    if (found.n < minimum)
        return error_set(err, ERROR_KEY,
                         "'%s' holds %zu recipient%s, %zu are wanted: one for operations and one whose identity lies offline, so "
                         "that losing one key does not "
                         "lose the backups",
                         path, found.n, found.n == 1 ? "" : "s", minimum);
    *ret_recipients = found;
    found.list = NULL;
    return 0;
}

int age_identities_parse(const char *text, size_t n, const char *name, struct age_identities *ret_identities, struct error *err)
{
    _cleanup_age_identities_ struct age_identities found = { 0 };
    found.list = xcalloc(AGE_RECIPIENTS_MAX, sizeof *found.list);
    struct lines l = { text, text + n, 0 };
    const char *line;
    size_t len;
    while (next_line(&l, &line, &len)) {
        if (found.n == AGE_RECIPIENTS_MAX)
            return error_set(err, ERROR_FORMAT, "'%s' has more than %d identities", name, AGE_RECIPIENTS_MAX);
        if (age_identity_parse(line, len, &found.list[found.n], err) < 0)
            return error_prefix(err, "'%s' line %u", name, l.number);
        found.n++;
    }
    if (found.n == 0)
        return error_set(err, ERROR_KEY, "'%s' holds no identity ('AGE-SECRET-KEY-1…')", name);
    *ret_identities = found;
    found.list = NULL;
    return 0;
}

// Opens what `age -p` wrapped.
static int open_wrapped(const struct buf *file, const char *path, const char *passphrase, struct buf *ret_text, struct error *err)
{
    if (passphrase == NULL)
        return error_set(err, ERROR_KEY, "identity file '%s' is under a passphrase, and none was given", path);
    _cleanup_age_key_ struct age_key key;
    int r = age_unwrap_passphrase(file->data, file->len, passphrase, &key, err);
    if (r == 0) {
        _cleanup_age_decrypt_ struct age_decrypt d;
        age_decrypt_init(&d, &key);
        buf_reserve(ret_text, file->len); // no copies of the secret left behind by growing
        r = age_decrypt_update(&d, file->data + key.payload_offset, file->len - key.payload_offset, ret_text, err);
        if (r == 0)
            r = age_decrypt_final(&d, ret_text, err);
    }
    return r < 0 ? error_prefix(err, "identity file '%s'", path) : 0;
}

// What is inside the armor, where there is one; else the file itself.
static int strip_armor(const struct buf *file, const char *name, struct buf *plain, const struct buf **ret_bytes, struct error *err)
{
    int r = agearmor_is(file->data, file->len) ? agearmor_decode(file->data, file->len, plain, err) : 0;
    *ret_bytes = plain->len > 0 ? plain : file;
    return r < 0 ? error_prefix(err, "identity file '%s'", name) : 0;
}

static bool is_wrapped(const struct buf *bytes)
{
    const size_t version = strlen(AGEHEADER_VERSION_LINE);
    return bytes->len >= version && memcmp(bytes->data, AGEHEADER_VERSION_LINE, version) == 0;
}

bool age_identities_are_wrapped(const struct buf *file)
{
    _cleanup_buf_ struct buf plain = { 0 };
    const struct buf *bytes;
    struct error ignored; // whoever opens it is told
    return strip_armor(file, "", &plain, &bytes, &ignored) == 0 && is_wrapped(bytes);
}

static int open_identities(const struct buf *file, const char *name, const char *passphrase, struct age_identities *ret_identities, struct error *err)
{
    _cleanup_keyfile_ struct buf text = { 0 };
    _cleanup_buf_ struct buf plain = { 0 };
    const struct buf *bytes;
    int r = strip_armor(file, name, &plain, &bytes, err);
    if (r < 0)
        return r;
    if (!is_wrapped(bytes))
        return age_identities_parse(buf_str(file), file->len, name, ret_identities, err);
    r = open_wrapped(bytes, name, passphrase, &text, err);
    return r < 0 ? r : age_identities_parse(buf_str(&text), text.len, name, ret_identities, err);
}

int age_identities_open(const struct buf *file, const char *name, const char *passphrase, struct age_identities *ret_identities, struct error *err)
{
    return keyfile_wrong(open_identities(file, name, passphrase, ret_identities, err), err);
}

int age_identities_load(const struct io *io, int dirfd, const char *path, const char *passphrase,
                        struct age_identities *ret_identities, struct error *err)
{
    _cleanup_keyfile_ struct buf file = { 0 };
    int r = keyfile_read(io, dirfd, path, &file, err);
    return r < 0 ? keyfile_wrong(r, err) : age_identities_open(&file, path, passphrase, ret_identities, err);
}
