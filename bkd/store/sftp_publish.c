#include "bkd/store/sftp_publish.h"

#include <string.h>
#include <time.h>

#include "bkd/store/sftp_burst.h"

enum {
    FILES_AT_ONCE = 64,        // OpenSSH's server keeps about a thousand files open
    BYTES_AT_ONCE = 2 << 20,   // in the out buffer
    STEP = SFTP_DATA_MAX,
    PACE_MS = 20,              // how long to wait when the pace allows nothing now
};

enum what { OPEN, MKDIR, WRITE, FSYNC, CLOSE, SIZE, NAME, RENAME, REMOVE };

struct publish {
    struct sftp_publish *files;
    size_t n;
    struct sftp_client *client;
    struct sftp_burst burst;
    size_t root_length;
    const struct sftp_pace *pace;
};

static void fail(struct sftp_publish *f, int result, const struct error *why)
{
    if (f->over)
        return;
    f->over = true;
    f->result = result;
    f->why = *why;
}

// ---- answers

static int take_open(struct sftp_publish *f, const struct sftp_message *m, struct error *err)
{
    struct cursor body = m->body;
    const uint8_t *data;
    size_t n;
    if (!sftp_get_string(&body, &data, &n) || n > SFTP_HANDLE_MAX)
        return sftp_wire_malformed(m, err);
    memcpy(f->handle.bytes, data, n);
    f->handle.len = (uint32_t)n;
    f->open = true;
    f->over = false;
    f->result = 0;
    return 0;
}

static int take_attrs(struct sftp_publish *f, enum what what, const struct sftp_message *m, struct error *err)
{
    struct cursor body = m->body;
    struct sftp_attrs attrs;
    if (!sftp_get_attrs(&body, &attrs))
        return sftp_wire_malformed(m, err);
    if (what == SIZE)
        f->kept = (attrs.flags & SFTP_ATTR_SIZE) != 0 ? attrs.size : UINT64_MAX;
    else
        f->taken = true;
    return 0;
}

// A name that is not there is what NAME hopes for, and a size that cannot be asked for is judged as another one.
static int take_status(struct sftp_publish *f, enum what what, const struct sftp_message *m, struct error *err)
{
    static const char *const words[] = { [OPEN] = "create", [MKDIR] = "make the directory of", [WRITE] = "write", [FSYNC] = "make durable", [CLOSE] = "close",
                                         [SIZE] = "look at", [NAME] = "look at", [RENAME] = "rename to", [REMOVE] = "remove" };
    struct error why;
    uint32_t status = SFTP_OK;
    int r = sftp_wire_status(m, words[what], f->path, &status, &why);
    if (r < 0 && status == SFTP_OK) { // no status at all
        *err = why;
        return r;
    }
    if (r == 0 || what == MKDIR || what == SIZE || what == REMOVE || (what == NAME && r == ERROR_NOT_FOUND))
        return 0;
    fail(f, r, &why);
    return 0;
}

static int take_answer(void *arg, unsigned what, size_t index, struct sftp_message *m, struct error *err)
{
    struct publish *p = arg;
    struct sftp_publish *f = &p->files[index];
    if (what == OPEN && m->type == SFTP_HANDLE)
        return take_open(f, m, err);
    if ((what == SIZE || what == NAME) && m->type == SFTP_ATTRS)
        return take_attrs(f, (enum what)what, m, err);
    return take_status(f, (enum what)what, m, err);
}

static int wait_all(struct publish *p, struct error *err) { return sftp_burst_wait(&p->burst, take_answer, p, err); }

// ---- opening

static void ask_open(struct publish *p, size_t i)
{
    uint32_t id = sftp_wire_begin(p->client, SFTP_OPEN);
    sftp_put_text(&p->client->out, p->files[i].part);
    sftp_put_u32(&p->client->out, SFTP_OPEN_WRITE | SFTP_OPEN_CREAT | SFTP_OPEN_EXCL);
    sftp_put_attrs(&p->client->out, &(struct sftp_attrs){ .flags = SFTP_ATTR_PERMISSIONS, .permissions = 0600 });
    sftp_burst_note(&p->burst, id, OPEN, i);
}

// Servers say "failure" where a directory exists: what counts is whether the file can be made then.
static void ask_dirs(struct publish *p, size_t i)
{
    const char *path = p->files[i].part;
    for (const char *slash = strchr(path + p->root_length + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        _cleanup_free_ char *dir = xstrndup(path, (size_t)(slash - path));
        uint32_t id = sftp_wire_begin(p->client, SFTP_MKDIR);
        sftp_put_text(&p->client->out, dir);
        sftp_put_attrs(&p->client->out, &(struct sftp_attrs){ .flags = SFTP_ATTR_PERMISSIONS, .permissions = 0700 });
        sftp_burst_note(&p->burst, id, MKDIR, i);
    }
}

static int open_all(struct publish *p, struct error *err)
{
    for (size_t i = 0; i < p->n; i++)
        if (!p->files[i].over)
            ask_open(p, i);
    int r = wait_all(p, err);
    for (size_t i = 0; r == 0 && i < p->n; i++)
        if (p->files[i].over && p->files[i].result == ERROR_NOT_FOUND) {
            p->files[i].over = false;
            ask_dirs(p, i);
            ask_open(p, i);
        }
    return r < 0 ? r : wait_all(p, err);
}

// ---- writing

static int wait_for_pace(const struct publish *p, size_t n, struct error *err)
{
    int r = 0;
    while (r == 0 && p->pace != NULL && p->pace->may_send(p->pace->arg, n) < n) {
        struct timespec t = { .tv_nsec = PACE_MS * 1000000 };
        bool moved;
        r = sftp_wire_move(p->client, &moved, err);
        p->client->last_byte_ns = io_monotonic_ns(p->client->io); // it is our own wish that nothing goes
        (void)nanosleep(&t, NULL);
    }
    return r;
}

static int ask_write(struct publish *p, size_t i, struct error *err)
{
    const struct sftp_publish *f = &p->files[i];
    for (size_t at = 0; at < f->n; at += STEP) {
        size_t n = f->n - at < STEP ? f->n - at : STEP;
        int r = wait_for_pace(p, n, err);
        if (r < 0)
            return r;
        uint32_t id = sftp_wire_begin(p->client, SFTP_WRITE);
        sftp_wire_put_handle(p->client, &f->handle);
        sftp_put_u64(&p->client->out, at);
        sftp_put_string(&p->client->out, (const uint8_t *)f->data + at, (uint32_t)n);
        sftp_burst_note(&p->burst, id, WRITE, i);
    }
    return 0;
}

static void ask_end(struct publish *p, size_t i)
{
    struct sftp_publish *f = &p->files[i];
    f->kept = UINT64_MAX;
    f->taken = false;
    if (p->client->abilities.fsync) {
        uint32_t id = sftp_wire_begin(p->client, SFTP_EXTENDED);
        sftp_put_text(&p->client->out, "fsync@openssh.com");
        sftp_wire_put_handle(p->client, &f->handle);
        sftp_burst_note(&p->burst, id, FSYNC, i);
    }
    sftp_burst_handle(&p->burst, SFTP_CLOSE, &f->handle, CLOSE, i);
    f->open = false;
    sftp_burst_path(&p->burst, SFTP_LSTAT, f->part, SIZE, i);
    sftp_burst_path(&p->burst, SFTP_LSTAT, f->path, NAME, i);
}

// A server may look at a size while it still writes: it is asked once more.
static int check_sizes(struct publish *p, struct error *err)
{
    for (size_t i = 0; i < p->n; i++)
        if (!p->files[i].over && p->files[i].kept != p->files[i].n)
            sftp_burst_path(&p->burst, SFTP_LSTAT, p->files[i].part, SIZE, i);
    int r = wait_all(p, err);
    for (size_t i = 0; r == 0 && i < p->n; i++) {
        struct sftp_publish *f = &p->files[i];
        struct error why;
        if (!f->over && f->kept == UINT64_MAX)
            fail(f, error_set(&why, ERROR_FAILED, "the server does not tell the size of '%s'", f->part), &why);
        else if (!f->over && f->kept != f->n)
            fail(f, error_set(&why, ERROR_FAILED, "the server kept %llu of %zu bytes of '%s'", (unsigned long long)f->kept, f->n, f->path), &why);
        else if (!f->over && f->taken)
            fail(f, error_set(&why, ERROR_EXISTS, "'%s' exists", f->path), &why);
    }
    return r;
}

static int write_all(struct publish *p, struct error *err)
{
    for (size_t i = 0; i < p->n; i++) {
        if (!p->files[i].open)
            continue;
        int r = ask_write(p, i, err);
        if (r < 0)
            return r;
        ask_end(p, i);
    }
    int r = wait_all(p, err);
    return r < 0 ? r : check_sizes(p, err);
}

// ---- naming

static void ask_rename(struct publish *p, size_t i)
{
    struct sftp_publish *f = &p->files[i];
    uint32_t id = sftp_wire_begin(p->client, SFTP_RENAME);
    sftp_put_text(&p->client->out, f->part);
    sftp_put_text(&p->client->out, f->path);
    sftp_burst_note(&p->burst, id, RENAME, i);
    f->renaming = true;
}

// Why a rename was refused: is the name taken by now?
static int explain_renames(struct publish *p, size_t first, size_t end, struct error *err)
{
    for (size_t i = first; i < end; i++)
        if (p->files[i].renaming && p->files[i].over && p->files[i].result != 0) {
            p->files[i].taken = false;
            sftp_burst_path(&p->burst, SFTP_LSTAT, p->files[i].path, NAME, i);
        }
    int r = wait_all(p, err);
    for (size_t i = first; r == 0 && i < end; i++) {
        struct sftp_publish *f = &p->files[i];
        if (f->renaming && f->over && f->result != 0 && f->taken)
            f->result = error_set(&f->why, ERROR_EXISTS, "'%s' exists", f->path);
    }
    return r;
}

static bool has_failed(const struct sftp_publish *f) { return f->over && f->result != 0 && f->result != ERROR_EXISTS; }

static int name_group(struct publish *p, size_t first, size_t end, struct error *err)
{
    for (size_t i = first; i < end; i++)
        if (!p->files[i].over)
            ask_rename(p, i);
    int r = wait_all(p, err);
    if (r == 0)
        r = explain_renames(p, first, end, err);
    for (size_t i = first; r == 0 && i < end; i++)
        p->files[i].over |= p->files[i].renaming;
    return r;
}

// Up to the next one that has to wait for all before it.
static int name_all(struct publish *p, struct error *err)
{
    for (size_t i = 0; i < p->n; i++)
        if (has_failed(&p->files[i]))
            return 0;
    for (size_t first = 0, end; first < p->n; first = end) {
        for (end = first + 1; end < p->n && !p->files[end].last; end++)
            ;
        int r = name_group(p, first, end, err);
        for (size_t i = first; r == 0 && i < end; i++)
            if (has_failed(&p->files[i]))
                return 0;
        if (r < 0)
            return r;
    }
    return 0;
}

// What stays takes space, nothing else.
static int remove_parts(struct publish *p, struct error *err)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct sftp_publish *f = &p->files[i];
        if (!f->over || f->result != 0)
            sftp_burst_path(&p->burst, SFTP_REMOVE, f->part, REMOVE, i);
    }
    return wait_all(p, err);
}

// ---- all of it

static int first_failure(const struct publish *p, struct error *err)
{
    for (size_t i = 0; i < p->n; i++)
        if (has_failed(&p->files[i])) {
            *err = p->files[i].why;
            return p->files[i].result;
        }
    return 0;
}

static int run_some(struct publish *p, struct error *err)
{
    int r = open_all(p, err);
    if (r == 0)
        r = write_all(p, err);
    if (r == 0)
        r = name_all(p, err);
    if (r == 0)
        r = remove_parts(p, err);
    return r < 0 ? r : first_failure(p, err);
}

int sftp_publish_run(struct sftp_client *c, struct sftp_publish *files, size_t n, size_t root_length, const struct sftp_pace *pace, struct error *err)
{
    struct publish p = { .client = c, .burst = { .client = c }, .root_length = root_length, .pace = pace };
    int r = 0;
    for (size_t first = 0; r == 0 && first < n; first += p.n) {
        size_t bytes = files[first].n;
        p.files = files + first;
        for (p.n = 1; first + p.n < n && p.n < FILES_AT_ONCE && (bytes += p.files[p.n].n) <= BYTES_AT_ONCE; p.n++)
            ;
        r = run_some(&p, err);
    }
    sftp_burst_done(&p.burst);
    return r;
}

int sftp_publish_open(struct sftp_client *c, struct sftp_publish *file, size_t root_length, struct error *err)
{
    struct publish p = { .files = file, .n = 1, .client = c, .burst = { .client = c }, .root_length = root_length };
    int r = open_all(&p, err);
    sftp_burst_done(&p.burst);
    return r < 0 ? r : first_failure(&p, err);
}

int sftp_publish_end(struct sftp_client *c, struct sftp_publish *file, struct error *err)
{
    struct publish p = { .files = file, .n = 1, .client = c, .burst = { .client = c } };
    ask_end(&p, 0);
    int r = wait_all(&p, err);
    if (r == 0)
        r = check_sizes(&p, err);
    if (r == 0)
        r = name_all(&p, err);
    if (r == 0)
        r = remove_parts(&p, err);
    sftp_burst_done(&p.burst);
    return r;
}
