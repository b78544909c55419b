#include "restore/marker.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/base/fs.h"

enum { HEAD_MAX = 64 << 10, LINE = 17, BATCH = 1024 };

// ---- texts

static void name_marker(struct marker *m, const struct marker_facts *facts)
{
    uint8_t strip[8], sha256[CRYPTO_SHA256_SIZE], snapshot[8];
    _cleanup_buf_ struct buf id = { 0 };
    put_u64be(snapshot, facts->snapshot);
    put_u64be(strip, facts->strip);
    buf_add(&id, facts->repository, sizeof facts->repository);
    buf_add(&id, facts->chain, sizeof facts->chain);
    buf_add(&id, snapshot, sizeof snapshot);
    buf_add(&id, facts->selection, sizeof facts->selection);
    buf_add(&id, strip, sizeof strip);
    crypto_sha256(id.data, id.len, sha256);
    (void)snprintf(m->name, sizeof m->name, MARKER_PREFIX "%016" PRIx64, get_u64be(sha256));
}

// Changes with every start of the kernel; empty where it cannot be read, which is never the same.
static void read_boot(const struct io *io, struct buf *ret_boot)
{
    struct error ignored;
    buf_reset(ret_boot);
    if (fs_read_file(io, AT_FDCWD, "/proc/sys/kernel/random/boot_id", 100, ret_boot, &ignored) < 0)
        buf_reset(ret_boot);
    while (ret_boot->len > 0 && ret_boot->data[ret_boot->len - 1] == '\n')
        ret_boot->len--;
}

static void format_head(const struct marker *m, const struct marker_facts *facts, uint64_t existed, struct buf *ret_head)
{
    _cleanup_buf_ struct buf boot = { 0 };
    const char *command = facts->command == NULL ? "-" : facts->command;
    read_boot(m->io, &boot);
    buf_add_str(ret_head, "bkd-restore-marker 1\nrepository ");
    buf_add_hex(ret_head, facts->repository, sizeof facts->repository);
    buf_add_str(ret_head, "\nchain ");
    buf_add_hex(ret_head, facts->chain, sizeof facts->chain);
    buf_addf(ret_head, "\nsnapshot %" PRIu64 "\nparts %016" PRIx64 "\nboot %s\nroot %s\n", facts->snapshot, m->parts, buf_str(&boot),
             m->root_made ? "made" : "existed");
    buf_addf(ret_head, "options %s\ncommand %s\nexisted %" PRIu64 "\n", facts->options, command, existed);
}

// ---- reading

// The value of a line "key value" of the head, or NULL; NUL-terminated in place by split_head.
static const char *value_of(const struct buf *head, const char *key)
{
    size_t n = strlen(key);
    for (const char *p = (const char *)head->data, *end = p + head->len; p < end; p += strlen(p) + 1)
        if (strncmp(p, key, n) == 0 && p[n] == ' ')
            return p + n + 1;
    return NULL;
}

// Reads the head and cuts it into lines. *ret_end: where the numbers begin. False: it never was finished.
static bool read_head(struct marker *m, struct buf *ret_head, uint64_t *ret_end, struct error *err)
{
    size_t n = 0;
    if (io_pread_full(m->io, m->fd, buf_extend(ret_head, HEAD_MAX), HEAD_MAX, 0, m->name, &n, err) < 0)
        return false;
    ret_head->len = n;
    const char *text = buf_str(ret_head);
    const char *last = strstr(text, "\nexisted "), *stop = last == NULL ? NULL : strchr(last + 1, '\n');
    if (stop == NULL || strncmp(text, "bkd-restore-marker 1\n", 21) != 0)
        return false;
    *ret_end = (uint64_t)(stop - text) + 1;
    ret_head->len = *ret_end;
    for (size_t i = 0; i < ret_head->len; i++)
        if (ret_head->data[i] == '\n')
            ret_head->data[i] = '\0';
    return true;
}

static int read_existed(struct marker *m, uint64_t at, uint64_t count, struct survey *survey, bool *ret_whole, struct error *err)
{
    char lines[BATCH * LINE + 1];
    size_t n = 0;
    *ret_whole = false;
    while (count > 0) {
        size_t batch = count < BATCH ? (size_t)count : BATCH;
        int r = io_pread_full(m->io, m->fd, lines, batch * LINE, at, m->name, &n, err);
        if (r < 0)
            return r;
        if (n < batch * LINE)
            return 0;
        for (size_t i = 0; r == 0 && i < batch; i++) {
            uint8_t sequence[8];
            if (!parse_hex(lines + i * LINE, 16, sequence, sizeof sequence))
                return 0;
            r = survey_add(survey, get_u64be(sequence), err);
        }
        if (r < 0)
            return r;
        at += n;
        count -= batch;
    }
    int r = io_pread_full(m->io, m->fd, lines, 4, at, m->name, &n, err);
    *ret_whole = r == 0 && n == 4 && memcmp(lines, "end\n", 4) == 0;
    return r;
}

// A marker without its end was being written when its restore was killed: nothing else exists of that one.
static int take_up(struct marker *m, const struct marker_facts *facts, struct survey *survey, bool *ret_whole, struct error *err)
{
    _cleanup_buf_ struct buf head = { 0 };
    _cleanup_buf_ struct buf boot = { 0 };
    uint64_t end = 0;
    uint8_t parts[8];
    *ret_whole = false;
    if (!read_head(m, &head, &end, err))
        return 0;
    const char *options = value_of(&head, "options"), *hex = value_of(&head, "parts"), *root = value_of(&head, "root"),
               *existed = value_of(&head, "existed"), *started = value_of(&head, "boot"), *command = value_of(&head, "command");
    if (options == NULL || hex == NULL || root == NULL || existed == NULL || started == NULL || command == NULL ||
        !parse_hex(hex, strlen(hex), parts, sizeof parts))
        return 0;
    int r = read_existed(m, end, strtoull(existed, NULL, 10), survey, ret_whole, err);
    if (r < 0 || !*ret_whole)
        return r;
    bool is_known = strcmp(command, "-") != 0 && strlen(command) <= MARKER_COMMAND_MAX;
    if (strcmp(options, facts->options) != 0)
        return error_set(err, ERROR_USAGE, "the interrupted restore had other options (%s, not %s): go on with `%s`, or remove '%s' from the target to begin a new one", options,
                         facts->options, is_known ? command : "the command of then and --resume", m->name);
    read_boot(m->io, &boot);
    m->parts = get_u64be(parts);
    m->root_made = strcmp(root, "made") == 0;
    m->doubt = boot.len == 0 || strcmp(buf_str(&boot), started) != 0;
    return 0;
}

// Only a file that could have been made by this user's own restore is believed.
static int check_own(struct marker *m, struct error *err)
{
    struct statx st;
    int r = io_stat(m->io, m->fd, "", AT_EMPTY_PATH, &st, err);
    if (r == 0 && (!S_ISREG(st.stx_mode) || st.stx_uid != geteuid() || (st.stx_mode & 022) != 0))
        r = error_set(err, ERROR_USAGE, "'%s' in the target is not a marker of yours; look at it and remove it", m->name);
    return r;
}

int marker_open(struct marker *m, const struct io *io, int dirfd, const struct marker_facts *facts, struct survey *survey, bool *ret_found,
                struct error *err)
{
    *m = (struct marker){ .io = io, .dirfd = dirfd, .fd = -1 };
    *ret_found = false;
    name_marker(m, facts);
    int r = io_open(io, dirfd, m->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0, &m->fd, err);
    if (r == ERROR_NOT_FOUND)
        return 0;
    if (r == 0)
        r = check_own(m, err);
    if (r == 0 && !fs_try_lock(m->fd))
        r = error_set(err, ERROR_BUSY, "the same restore is running into this target ('%s' is locked); wait for its end", m->name);
    bool whole = false;
    if (r == 0)
        r = take_up(m, facts, survey, &whole, err);
    if (r == 0 && !whole)
        r = io_unlink(io, dirfd, m->name, 0, err);
    if (r < 0 || !whole)
        io_close_quietly(io, &m->fd);
    *ret_found = r == 0 && whole;
    return r;
}

// ---- writing

static int write_existed(struct marker *m, struct survey *survey, struct error *err)
{
    _cleanup_buf_ struct buf lines = { 0 };
    uint64_t sequence = 1;
    int r = survey == NULL ? 0 : survey_rewind(survey, err);
    if (r == 0 && survey != NULL)
        sequence = survey->existing.sequence;
    while (r == 0 && survey != NULL && sequence > 0) {
        buf_addf(&lines, "%016" PRIx64 "\n", sequence);
        if (lines.len >= BATCH * LINE) {
            r = io_write_all(m->io, m->fd, lines.data, lines.len, m->name, err);
            buf_reset(&lines);
        }
        if (r == 0)
            r = survey_next(survey, &sequence, err);
    }
    buf_add_str(&lines, "end\n");
    return r < 0 ? r : io_write_all(m->io, m->fd, lines.data, lines.len, m->name, err);
}

// Making and removing a name changes the time of the target, which is somebody's.
static void keep_time(const struct io *io, int dirfd, const struct statx *before)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
                                 { .tv_sec = before->stx_mtime.tv_sec, .tv_nsec = (long)before->stx_mtime.tv_nsec } };
    (void)io->utimensat(io, dirfd, "", times, AT_EMPTY_PATH); // a target of somebody else's takes the new time
}

int marker_create(struct marker *m, const struct marker_facts *facts, bool root_made, struct survey *survey, struct error *err)
{
    _cleanup_buf_ struct buf head = { 0 };
    struct statx before;
    int r = io_stat(m->io, m->dirfd, "", AT_EMPTY_PATH, &before, err);
    if (r < 0)
        return r;
    io_random(m->io, &m->parts, sizeof m->parts);
    m->root_made = root_made;
    r = io_open(m->io, m->dirfd, m->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &m->fd, err);
    if (r < 0 && (err->os_errno == EACCES || err->os_errno == EPERM || err->os_errno == EROFS))
        return 0;
    if (r == 0 && !fs_try_lock(m->fd))
        r = error_set(err, ERROR_BUSY, "the same restore has just begun in this target");
    format_head(m, facts, survey == NULL ? 0 : spill_count(survey->existed), &head);
    if (r == 0)
        r = io_write_all(m->io, m->fd, head.data, head.len, m->name, err);
    if (r == 0)
        r = write_existed(m, survey, err);
    if (r == 0)
        r = io_fsync(m->io, m->fd, m->name, err);
    if (r == 0)
        r = io_fsync(m->io, m->dirfd, "target", err);
    if (r == 0)
        keep_time(m->io, m->dirfd, &before);
    return r;
}

int marker_remove(struct marker *m, struct error *err)
{
    struct statx before;
    if (m->fd < 0)
        return 0;
    int r = io_stat(m->io, m->dirfd, "", AT_EMPTY_PATH, &before, err);
    if (r < 0)
        return r;
    // The target may have just become a directory that its owner may not write.
    bool closed = (before.stx_mode & 0300) != 0300 && m->io->fchmod(m->io, m->dirfd, (before.stx_mode & 07777) | 0300) == 0;
    r = io_unlink(m->io, m->dirfd, m->name, 0, err);
    if (closed)
        (void)m->io->fchmod(m->io, m->dirfd, before.stx_mode & 07777); // it was just allowed
    keep_time(m->io, m->dirfd, &before);
    if (r == 0)
        r = io_fsync(m->io, m->dirfd, "target", err);
    marker_done(m);
    return r;
}

void marker_done(struct marker *m)
{
    if (m->io != NULL)
        io_close_quietly(m->io, &m->fd);
}

struct other {
    const struct marker *m;
    char *name;
};

static int see_name(void *arg, const char *name, unsigned char type, struct error *err)
{
    struct other *other = arg;
    (void)type, (void)err;
    if (strncmp(name, MARKER_PREFIX, sizeof MARKER_PREFIX - 1) != 0 || strcmp(name, other->m->name) == 0)
        return 0;
    other->name = xstrdup(name);
    return 1;
}

char *marker_other(const struct marker *m)
{
    struct other other = { .m = m };
    struct error ignored; // a target that cannot be listed shows when it is written to
    int r = fs_list_dir(m->io, m->dirfd, ".", see_name, &other, &ignored);
    return r < 0 ? NULL : other.name;
}
