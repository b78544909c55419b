#include "bkd/store/sftp_many.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bkd/store/sftp_wire.h"

enum {
    SLOTS = 64,          // paths under way; OpenSSH's server keeps about a thousand files open
    WINDOW = 2 << 20,    // bytes of files asked for and not answered
    STEP = SFTP_DATA_MAX,
    FEW_DIRS = 8, READS_OF_FEW = 8,
    OWED_MAX = SLOTS * 2 + WINDOW / STEP,
};

enum kind { STAT, GET, LIST };
enum asked { ASKED_STAT, ASKED_OPEN, ASKED_DATA, ASKED_NAMES };

// A path under way. It is over when nothing is owed and nothing is left to be asked for.
struct slot {
    bool used, open, failed;
    size_t index;
    unsigned owed;      // answers
    struct sftp_handle handle;
    struct sftp_attrs attrs;
    bool has_attrs;
    uint64_t asked, got; // bytes of the file
    struct buf data;
    bool ended;          // the listing
    struct error why;
};

struct owed {
    uint32_t id, length;
    uint64_t offset;
    struct slot *slot;
    enum asked what;
};

struct run {
    struct sftp_client *client;
    const struct sftp_many *many;
    enum kind kind;
    size_t max, next; // next: path to begin with
    struct slot slots[SLOTS];
    struct owed owed[OWED_MAX];
    size_t n_owed;
    uint64_t bytes_owed;
    int failure;      // of a visit
    struct error *err;
};

// ---- asking

static void note(struct run *r, struct slot *s, uint32_t id, enum asked what, uint64_t offset, uint32_t length)
{
    sftp_wire_end(r->client);
    r->owed[r->n_owed++] = (struct owed){ .id = id, .length = length, .offset = offset, .slot = s, .what = what };
    r->bytes_owed += length;
    s->owed++;
}

static void ask_path(struct run *r, struct slot *s)
{
    static const enum sftp_type types[] = { [STAT] = SFTP_LSTAT, [GET] = SFTP_OPEN, [LIST] = SFTP_OPENDIR };
    uint32_t id = sftp_wire_begin(r->client, types[r->kind]);
    sftp_put_text(&r->client->out, r->many->paths[s->index]);
    if (r->kind == GET) {
        sftp_put_u32(&r->client->out, SFTP_OPEN_READ);
        sftp_put_attrs(&r->client->out, &(struct sftp_attrs){ 0 });
    }
    note(r, s, id, r->kind == STAT ? ASKED_STAT : ASKED_OPEN, 0, 0);
}

static void ask_handle(struct run *r, struct slot *s, enum sftp_type type, enum asked what)
{
    uint32_t id = sftp_wire_begin(r->client, type);
    sftp_wire_put_handle(r->client, &s->handle);
    note(r, s, id, what, 0, 0);
}

static void ask_data(struct run *r, struct slot *s, uint64_t offset, uint32_t length)
{
    uint32_t id = sftp_wire_begin(r->client, SFTP_READ);
    sftp_wire_put_handle(r->client, &s->handle);
    sftp_put_u64(&r->client->out, offset);
    sftp_put_u32(&r->client->out, length);
    note(r, s, id, ASKED_DATA, offset, length);
}

// The size is asked for together with the first bytes: most files are not longer.
static void ask_after_open(struct run *r, struct slot *s)
{
    if (r->kind == GET) {
        ask_handle(r, s, SFTP_FSTAT, ASKED_STAT);
        ask_data(r, s, 0, STEP);
        s->asked = STEP;
    } else { // the second answer is the end of most; where there are few, they may well be long
        for (unsigned i = 0; i < (r->many->n <= FEW_DIRS ? READS_OF_FEW : 2); i++)
            ask_handle(r, s, SFTP_READDIR, ASKED_NAMES);
    }
}

static bool has_room(const struct run *r) { return r->n_owed + 3 < OWED_MAX && r->bytes_owed < WINDOW; }

static bool wants_data(const struct slot *s) { return s->used && !s->failed && s->has_attrs && s->open && s->asked < s->attrs.size; }

static void ask_more(struct run *r)
{
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *s = &r->slots[i];
        while (r->failure == 0 && wants_data(s) && has_room(r)) {
            uint32_t length = s->attrs.size - s->asked < STEP ? (uint32_t)(s->attrs.size - s->asked) : STEP;
            ask_data(r, s, s->asked, length);
            s->asked += length;
        }
        if (!s->used && r->failure == 0 && r->next < r->many->n && has_room(r)) {
            struct buf kept = s->data;
            buf_reset(&kept);
            *s = (struct slot){ .used = true, .index = r->next++, .data = kept };
            ask_path(r, s);
        }
    }
}

// ---- answers

static void fail(struct slot *s, const struct error *why)
{
    if (!s->failed)
        s->why = *why;
    s->failed = true;
}

// A STATUS in the place of what was asked for. Anything else there is no answer.
static int take_status(struct run *r, struct slot *s, const struct owed *owed, const struct sftp_message *m, struct error *err)
{
    struct error why = { 0 };
    uint32_t status = SFTP_OK;
    static const char *const verbs[] = { [STAT] = "ask about", [GET] = "read", [LIST] = "list" };
    int e = sftp_wire_status(m, verbs[r->kind], r->many->paths[s->index], &status, &why);
    if (e == ERROR_FORMAT || e == 0) {
        *err = why;
        return e == 0 ? sftp_wire_malformed(m, err) : e;
    }
    if (status == SFTP_EOF && owed->what == ASKED_NAMES)
        s->ended = true;
    else if (status != SFTP_EOF || owed->what != ASKED_DATA) // an end too early shows in the size
        fail(s, &why);
    return 0;
}

static int take_handle(struct run *r, struct slot *s, struct sftp_message *m, struct error *err)
{
    const uint8_t *data;
    size_t n;
    if (!sftp_get_string(&m->body, &data, &n) || n > SFTP_HANDLE_MAX)
        return sftp_wire_malformed(m, err);
    memcpy(s->handle.bytes, data, n);
    s->handle.len = (uint32_t)n;
    s->open = true;
    ask_after_open(r, s);
    return 0;
}

static int take_attrs(struct run *r, struct slot *s, struct sftp_message *m, struct error *err)
{
    struct error why = { 0 };
    const char *path = r->many->paths[s->index];
    if (!sftp_get_attrs(&m->body, &s->attrs))
        return sftp_wire_malformed(m, err);
    s->has_attrs = true;
    if ((s->attrs.flags & SFTP_ATTR_PERMISSIONS) != 0 && !S_ISREG(s->attrs.permissions))
        (void)error_set(&why, ERROR_INTEGRITY, "'%s' is not a regular file", path);
    else if ((s->attrs.flags & SFTP_ATTR_SIZE) == 0)
        (void)error_set(&why, ERROR_FAILED, "the server does not tell the size of '%s'", path);
    else if (r->kind == GET && s->attrs.size > r->max)
        (void)error_set(&why, ERROR_FORMAT, "'%s' has %llu bytes, more than the %zu it may have", path, (unsigned long long)s->attrs.size, r->max);
    if (why.code != ERROR_NONE)
        fail(s, &why);
    return 0;
}

static int take_data(struct run *r, struct slot *s, const struct owed *owed, struct sftp_message *m, struct error *err)
{
    const uint8_t *data;
    size_t n;
    if (!sftp_get_string(&m->body, &data, &n) || n > owed->length || n == 0)
        return sftp_wire_malformed(m, err);
    uint64_t end = owed->offset + n;
    if (s->data.len < end)
        (void)buf_extend(&s->data, (size_t)(end - s->data.len));
    memcpy(s->data.data + owed->offset, data, n);
    s->got += n;
    bool at_end = s->has_attrs && end >= s->attrs.size;
    if (n < owed->length && !at_end && !s->failed) // servers may answer with less
        ask_data(r, s, end, owed->length - (uint32_t)n);
    return 0;
}

static int take_names(struct run *r, struct slot *s, const struct sftp_message *m, struct error *err)
{
    struct cursor body = m->body;
    uint32_t count;
    if (!sftp_get_u32(&body, &count) || count == 0) // none at all, again and again, would have no end
        return sftp_wire_malformed(m, err);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *name, *longname;
        size_t n, longname_len;
        struct sftp_attrs attrs;
        if (!sftp_get_string(&body, &name, &n) || !sftp_get_string(&body, &longname, &longname_len) || !sftp_get_attrs(&body, &attrs) || n == 0 ||
            memchr(name, '\0', n) != NULL || memchr(name, '/', n) != NULL)
            return sftp_wire_malformed(m, err);
        _cleanup_free_ char *text = xstrndup((const char *)name, n);
        if (r->failure == 0 && strcmp(text, ".") != 0 && strcmp(text, "..") != 0)
            r->failure = r->many->entry(r->many->arg, s->index, text, &attrs, r->err);
    }
    if (!s->ended && !s->failed && r->failure == 0)
        ask_handle(r, s, SFTP_READDIR, ASKED_NAMES);
    return 0;
}

// ---- one path is over

static bool is_over(const struct run *r, const struct slot *s) { return s->owed == 0 && (r->failure != 0 || !wants_data(s)); }

static void finish(struct run *r, struct slot *s)
{
    if (s->open)
        sftp_close_later(r->client, &s->handle);
    if (!s->failed && r->kind == GET && (s->got != s->attrs.size || s->data.len != s->got)) {
        s->failed = true;
        (void)error_set(&s->why, ERROR_INTEGRITY, "'%s' gave %llu of its %llu bytes", r->many->paths[s->index], (unsigned long long)s->got,
                        (unsigned long long)s->attrs.size);
    }
    struct sftp_found found = { .result = s->failed ? (int)s->why.code : 0, .why = &s->why, .attrs = &s->attrs, .data = s->data.data, .n = s->data.len };
    if (r->failure == 0)
        r->failure = r->many->done(r->many->arg, s->index, &found, r->err);
    s->used = false;
}

static int take_owed(struct run *r, uint32_t id, struct owed *ret_owed, struct error *err)
{
    for (size_t i = 0; i < r->n_owed; i++)
        if (r->owed[i].id == id) {
            *ret_owed = r->owed[i];
            r->owed[i] = r->owed[--r->n_owed];
            r->bytes_owed -= ret_owed->length;
            ret_owed->slot->owed--;
            return 0;
        }
    return error_set(err, ERROR_FORMAT, "the server answers a request that was not made");
}

static int take_answer(struct run *r, struct sftp_message *m, struct error *err)
{
    static const uint8_t types[] = { [ASKED_STAT] = SFTP_ATTRS, [ASKED_OPEN] = SFTP_HANDLE, [ASKED_DATA] = SFTP_DATA, [ASKED_NAMES] = SFTP_NAME };
    struct owed owed = { 0 };
    int e = take_owed(r, m->id, &owed, err);
    if (e < 0)
        return e;
    struct slot *s = owed.slot;
    if (m->type != types[owed.what])
        e = take_status(r, s, &owed, m, err);
    else if (owed.what == ASKED_STAT)
        e = take_attrs(r, s, m, err);
    else if (owed.what == ASKED_OPEN)
        e = take_handle(r, s, m, err);
    else
        e = owed.what == ASKED_DATA ? take_data(r, s, &owed, m, err) : take_names(r, s, m, err);
    if (e == 0 && is_over(r, s))
        finish(r, s);
    return e;
}

// ---- all of them

static int run_all(struct run *r, struct error *err)
{
    for (;;) {
        struct sftp_message m;
        bool got = false, moved = false;
        struct error why;
        ask_more(r);
        if (r->n_owed == 0)
            return r->failure;
        int e = sftp_wire_take(r->client, &m, &got, &why);
        if (e == 0 && got)
            e = take_answer(r, &m, &why);
        else if (e == 0)
            e = sftp_wire_move(r->client, &moved, &why);
        if (e == 0 && !got && !moved)
            e = sftp_wire_wait(&r->client, 1, -1, &why);
        if (e < 0 && r->failure == 0)
            *err = why;
        if (e < 0)
            return r->failure != 0 ? r->failure : e;
    }
}

static int run_kind(struct sftp_client *c, const struct sftp_many *many, enum kind kind, size_t max, struct error *err)
{
    struct run *r = xcalloc(1, sizeof *r);
    *r = (struct run){ .client = c, .many = many, .kind = kind, .max = max, .err = err };
    int e = run_all(r, err);
    for (size_t i = 0; i < SLOTS; i++)
        buf_done(&r->slots[i].data);
    free(r);
    return e;
}

int sftp_stat_many(struct sftp_client *c, const struct sftp_many *many, struct error *err) { return run_kind(c, many, STAT, 0, err); }
int sftp_get_many(struct sftp_client *c, const struct sftp_many *many, size_t max, struct error *err) { return run_kind(c, many, GET, max, err); }
int sftp_list_many(struct sftp_client *c, const struct sftp_many *many, struct error *err) { return run_kind(c, many, LIST, 0, err); }
