#include "bkd/dr/improvements.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/fs.h"
#include "bkd/base/json.h"
#include "bkd/policy/civil.h"

enum { JOURNAL_MAX = 16 << 20, DATE_LENGTH = 10 };

static char *journal_path(const char *state_dir) { return xasprintf("%s/drills/improvements.jsonl", state_dir); }

static void improvement_done(struct improvement *i)
{
    free(i->drill);
    free(i->text);
    free(i->owner);
    free(i->due);
    free(i->opened);
    free(i->closed);
    free(i->closed_by);
    free(i->note);
}

void improvements_done(struct improvements *i)
{
    for (size_t at = 0; at < i->n; at++)
        improvement_done(&i->items[at]);
    free(i->items);
    *i = (struct improvements){ 0 };
}

// ---- reading

static char *text_of(const struct json *line, const char *key)
{
    const char *text = json_get_str(line, key);
    return xstrdup(text == NULL ? "" : text);
}

static struct improvement *find(struct improvements *i, uint64_t id) { return id >= 1 && id <= i->n ? &i->items[id - 1] : NULL; }

static bool take_line(struct improvements *i, const struct json *line)
{
    const char *type = json_get_str(line, "type");
    uint64_t id = 0;
    if (type == NULL || !json_get_u64(line, "id", &id))
        return false;
    if (strcmp(type, "improvement") == 0 && id == i->n + 1) {
        i->items = xrealloc(i->items, (i->n + 1) * sizeof *i->items);
        i->items[i->n++] = (struct improvement){ .id = id, .drill = text_of(line, "drill"), .text = text_of(line, "text"), .owner = text_of(line, "owner"),
                                                 .due = text_of(line, "due"), .opened = text_of(line, "opened") };
        return true;
    }
    struct improvement *improvement = find(i, id);
    if (strcmp(type, "closed") != 0 || improvement == NULL || improvement->closed != NULL)
        return false;
    improvement->closed = text_of(line, "time");
    improvement->closed_by = text_of(line, "by");
    improvement->note = text_of(line, "note");
    return true;
}

static int parse(const struct buf *text, struct improvements *i, struct error *err)
{
    unsigned long long number = 0;
    for (const char *at = buf_str(text), *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        _cleanup_json_ struct json *line = NULL;
        number++;
        if (json_parse(at, (size_t)(end - at), &line, err) < 0 || !take_line(i, line))
            return error_set(err, ERROR_FORMAT, "line %llu of the journal of improvements is damaged", number);
    }
    return 0;
}

int improvements_load(const struct io *io, const char *state_dir, struct improvements *ret_improvements, struct error *err)
{
    _cleanup_free_ char *path = journal_path(state_dir);
    _cleanup_buf_ struct buf text = { 0 };
    struct improvements i = { 0 };
    int r = fs_read_file(io, AT_FDCWD, path, JOURNAL_MAX, &text, err);
    if (r == 0)
        r = parse(&text, &i, err);
    if (r < 0 && r != ERROR_NOT_FOUND) {
        improvements_done(&i);
        return error_prefix(err, "'%s'", path);
    }
    *ret_improvements = i;
    return 0;
}

// ---- writing

struct journal {
    const struct io *io;
    struct improvements known;
    int fd, lock_fd;
};

static void journal_done(struct journal *j)
{
    improvements_done(&j->known);
    if (j->fd >= 0)
        io_close_quietly(j->io, &j->fd);
    if (j->lock_fd >= 0)
        io_close_quietly(j->io, &j->lock_fd);
}

// What a crash left of a last line is cut off, so that the next one stands by itself.
static int cut_torn_line(struct journal *j, const char *path, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    int r = fs_read_file(j->io, AT_FDCWD, path, JOURNAL_MAX, &text, err);
    size_t whole = text.len;
    while (whole > 0 && text.data[whole - 1] != '\n')
        whole--;
    return r < 0 || whole == text.len ? r : io_truncate(j->io, j->fd, whole, path, err);
}

static int journal_open(const struct io *io, const char *state_dir, struct journal *ret_journal, struct error *err)
{
    _cleanup_free_ char *path = journal_path(state_dir), *dir = xasprintf("%s/drills", state_dir), *lock = xasprintf("%s/improvements.lock", dir);
    struct journal *j = ret_journal;
    *j = (struct journal){ .io = io, .fd = -1, .lock_fd = -1 };
    int r = fs_make_dirs(io, AT_FDCWD, dir, 0700, err);
    if (r == 0)
        r = fs_lock(io, AT_FDCWD, lock, &j->lock_fd, err);
    if (r == 0)
        r = io_open(io, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600, &j->fd, err);
    if (r == 0)
        r = cut_torn_line(j, path, err);
    return r < 0 ? r : improvements_load(io, state_dir, &j->known, err);
}

static int append(const struct journal *j, const struct json *line, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    json_format(line, &text);
    buf_add_char(&text, '\n');
    int r = io_write_all(j->io, j->fd, text.data, text.len, "improvements.jsonl", err);
    return r < 0 ? r : io_fsync(j->io, j->fd, "improvements.jsonl", err);
}

static bool is_date(const char *text)
{
    int64_t ignored;
    _cleanup_free_ char *time = xasprintf("%sT00:00:00Z", text);
    return strlen(text) == DATE_LENGTH && civil_parse(time, &ignored);
}

int improvements_add(const struct io *io, const char *state_dir, const struct improvement_wanted *wanted, uint64_t *ret_id, struct error *err)
{
    __attribute__((cleanup(journal_done))) struct journal j = { .io = io, .fd = -1, .lock_fd = -1 };
    _cleanup_json_ struct json *line = json_line_new("improvement");
    if (!is_date(wanted->due))
        return error_set(err, ERROR_USAGE, "'%s' is no date: say when it is due as 2026-12-31", wanted->due);
    int r = journal_open(io, state_dir, &j, err);
    if (r < 0)
        return r;
    json_add_u64(line, "id", j.known.n + 1);
    json_add_str(line, "drill", wanted->drill);
    json_add_str(line, "text", wanted->text);
    json_add_str(line, "owner", wanted->owner);
    json_add_str(line, "due", wanted->due);
    json_add_time(line, "opened", io_realtime_ns(io));
    r = append(&j, line, err);
    if (r == 0)
        *ret_id = j.known.n + 1;
    return r;
}

int improvements_close(const struct io *io, const char *state_dir, uint64_t id, const char *by, const char *note, struct error *err)
{
    __attribute__((cleanup(journal_done))) struct journal j = { .io = io, .fd = -1, .lock_fd = -1 };
    _cleanup_json_ struct json *line = json_line_new("closed");
    int r = journal_open(io, state_dir, &j, err);
    if (r < 0)
        return r;
    const struct improvement *improvement = find(&j.known, id);
    if (improvement == NULL || improvement->closed != NULL)
        return error_set(err, ERROR_NOT_FOUND, "there is no open improvement %llu: `bkd improve list` shows them", (unsigned long long)id);
    json_add_u64(line, "id", id);
    json_add_str(line, "by", by);
    json_add_str(line, "note", note == NULL ? "" : note);
    json_add_time(line, "time", io_realtime_ns(io));
    return append(&j, line, err);
}

bool improvements_is_overdue(const struct improvement *improvement, uint64_t now_ns)
{
    char today[CLOCK_TEXT_MAX];
    clock_format_utc(today, now_ns, false);
    return improvement->closed == NULL && strncmp(today, improvement->due, DATE_LENGTH) > 0;
}

void improvements_describe(const struct improvement *i, uint64_t now_ns, struct json *object)
{
    json_add_u64(object, "id", i->id);
    json_add_str(object, "drill", i->drill);
    json_add_str(object, "text", i->text);
    json_add_str(object, "owner", i->owner);
    json_add_str(object, "due", i->due);
    json_add_str(object, "opened", i->opened);
    json_add_str(object, "closed", i->closed);
    json_add_str(object, "closed_by", i->closed_by);
    json_add_str(object, "note", i->note);
    json_add_bool(object, "overdue", improvements_is_overdue(i, now_ns));
}
