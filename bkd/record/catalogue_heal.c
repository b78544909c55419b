#include "bkd/record/catalogue_heal.h"

#include <errno.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bkd/base/buf.h"
#include "bkd/base/clock.h"
#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/record/alarms.h"

#define COPY_CHUNK (1u << 20)
enum { LOCK_STEP_MS = 50 };

static int try_lock(int fd, bool alone)
{
    struct flock lock = { .l_type = alone ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };
    return fcntl(fd, F_OFD_SETLK, &lock);
}

int catalogue_heal_lock(const struct io *io, const char *state_dir, bool alone, unsigned wait_ms, int *ret_fd, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/catalogue.lock", state_dir);
    int fd = -1;
    struct error reading;
    int r = io_open(io, AT_FDCWD, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &fd, err);
    if (r < 0 && !alone) { // a reader of another user's state, or of a read-only file system
        if (io_open(io, AT_FDCWD, path, O_RDONLY | O_NOFOLLOW, 0, &fd, &reading) < 0) {
            *ret_fd = -1;
            return 0;
        }
        r = 0;
    }
    for (unsigned waited = 0; r == 0 && try_lock(fd, alone) < 0; waited += LOCK_STEP_MS) {
        if (errno != EAGAIN && errno != EACCES)
            r = error_set_errno(err, errno, "lock '%s'", path);
        else if (waited >= wait_ms)
            r = error_set(err, ERROR_BUSY, alone ? "'%s': others have the catalogue open" : "'%s': another process is setting the catalogue right", path);
        else
            (void)nanosleep(&(struct timespec){ .tv_nsec = LOCK_STEP_MS * 1000000 }, NULL);
    }
    if (r < 0)
        io_close_quietly(io, &fd);
    else
        *ret_fd = fd;
    return r;
}

static bool exists(const struct io *io, const char *path, uint64_t *ret_size, uint64_t *ret_mtime_ns)
{
    struct statx st;
    struct error ignored;
    if (io_stat(io, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &st, &ignored) < 0)
        return false;
    *ret_size = st.stx_size;
    *ret_mtime_ns = (uint64_t)st.stx_mtime.tv_sec * UINT64_C(1000000000) + st.stx_mtime.tv_nsec;
    return true;
}

// Only what opening reads: the header, the schema's version, the list of tables. Damage further inside is met in use, and marked then.
static int probe(const char *path, const char *check, struct error *err)
{
    struct sql *sql = NULL;
    int64_t number = 0;
    int r = sql_open(path, SQL_READ_WRITE, CATALOGUE_BUSY_MS, &sql, err);
    if (r == 0)
        r = sql_number(sql, check, SQL_NOTHING, &number, err);
    sql_close(sql);
    return r;
}

int catalogue_heal_look(const struct io *io, const char *state_dir, char ret_why[CATALOGUE_TEXT_MAX], struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/catalogue.db", state_dir), *backup = xasprintf("%s/catalogue.backup", state_dir), *broken = xasprintf("%s/catalogue.broken", state_dir);
    uint64_t size = 0, time;
    struct error why;
    ret_why[0] = '\0';
    bool is_there = exists(io, path, &size, &time) && size > 0;
    if (!is_there) {
        if (exists(io, backup, &size, &time))
            (void)snprintf(ret_why, CATALOGUE_TEXT_MAX, "it is gone");
        return 0;
    }
    int r = probe(path, "SELECT count(*) FROM sqlite_schema", &why);
    if (r == ERROR_INTEGRITY)
        (void)snprintf(ret_why, CATALOGUE_TEXT_MAX, "%.*s", CATALOGUE_TEXT_MAX - 1, why.text);
    else if (r < 0)
        *err = why;
    else if (exists(io, broken, &size, &time))
        (void)snprintf(ret_why, CATALOGUE_TEXT_MAX, "damage was met in it");
    return r == ERROR_INTEGRITY ? 0 : r;
}

// A free name "catalogue.db.damaged-TIME[-N]"; its -wal goes along, so that the two can still be looked at together.
static int set_aside(const struct io *io, const char *state_dir, char ret_name[256], struct error *err)
{
    char time[CLOCK_TEXT_MAX];
    clock_format_utc(time, io_realtime_ns(io), false);
    static const char *const parts[] = { "", "-wal", "-shm" };
    for (int n = 1;; n++) {
        (void)snprintf(ret_name, 256, n == 1 ? "catalogue.db.damaged-%s" : "catalogue.db.damaged-%s-%d", time, n);
        int r = 0;
        for (size_t i = 0; r == 0 && i < sizeof parts / sizeof *parts; i++) {
            _cleanup_free_ char *from = xasprintf("%s/catalogue.db%s", state_dir, parts[i]), *to = xasprintf("%s/%s%s", state_dir, ret_name, parts[i]);
            r = io_rename_new(io, AT_FDCWD, from, AT_FDCWD, to, err);
            r = r == ERROR_NOT_FOUND ? 0 : r;
        }
        if (r != ERROR_EXISTS)
            return r;
    }
}

static int copy_bytes(const struct io *io, int from, int to, const char *path, struct error *err)
{
    void *chunk = xmalloc(COPY_CHUNK);
    size_t n = 0;
    int r;
    do {
        r = io_read_full(io, from, chunk, COPY_CHUNK, path, &n, err);
        if (r == 0 && n > 0)
            r = io_write_all(io, to, chunk, n, path, err);
    } while (r == 0 && n == COPY_CHUNK);
    free(chunk);
    return r < 0 ? r : io_fsync(io, to, path, err);
}

// The copy stays where it is: it may be needed again.
static int bring_back(const struct io *io, const char *state_dir, struct error *err)
{
    _cleanup_free_ char *backup = xasprintf("%s/catalogue.backup", state_dir), *part = xasprintf("%s/catalogue.db.part", state_dir), *path = xasprintf("%s/catalogue.db", state_dir);
    int from = -1, to = -1;
    int r = io_open(io, AT_FDCWD, backup, O_RDONLY | O_NOFOLLOW, 0, &from, err);
    if (r == 0)
        r = io_open(io, AT_FDCWD, part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600, &to, err);
    if (r == 0)
        r = copy_bytes(io, from, to, part, err);
    io_close_quietly(io, &from);
    io_close_quietly(io, &to);
    if (r == 0)
        r = io_rename_new(io, AT_FDCWD, part, AT_FDCWD, path, err);
    return r < 0 ? r : fs_sync_parent(io, AT_FDCWD, path, err);
}

static int heal_alone(const struct io *io, const char *state_dir, struct catalogue_healed *ret_healed, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/catalogue.db", state_dir), *backup = xasprintf("%s/catalogue.backup", state_dir), *broken = xasprintf("%s/catalogue.broken", state_dir);
    uint64_t size, time;
    struct error why;
    int r = catalogue_heal_look(io, state_dir, ret_healed->why, err); // again: another process may have been first
    if (r < 0 || ret_healed->why[0] == '\0')
        return r;
    bool was_there = exists(io, path, &size, &time);
    r = set_aside(io, state_dir, ret_healed->aside, err);
    if (!was_there)
        ret_healed->aside[0] = '\0';
    if (r == 0 && exists(io, backup, &size, &time)) {
        if (probe(backup, "SELECT count(*) FROM runs", &why) < 0)
            log_warn("the nightly copy of the catalogue is of no use: %s", why.text);
        else if ((r = bring_back(io, state_dir, err)) == 0)
            ret_healed->backup_ns = time;
    }
    return r == 0 && exists(io, broken, &size, &time) ? io_unlink(io, AT_FDCWD, broken, 0, err) : r;
}

int catalogue_heal(const struct io *io, const char *state_dir, unsigned wait_ms, struct catalogue_healed *ret_healed, struct error *err)
{
    struct catalogue_healed healed = { .why = "" };
    int fd = -1;
    int r = catalogue_heal_lock(io, state_dir, true, wait_ms, &fd, err);
    if (r < 0)
        return r;
    r = heal_alone(io, state_dir, &healed, err);
    io_close_quietly(io, &fd);
    if (r == 0)
        *ret_healed = healed;
    return r;
}

int catalogue_heal_tell(struct catalogue *c, const struct catalogue_healed *healed, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    char time[CLOCK_TEXT_MAX];
    clock_format_utc(time, healed->backup_ns, false);
    buf_addf(&text, "the catalogue could not be read (%s)", healed->why);
    if (healed->aside[0] != '\0')
        buf_addf(&text, "; the file was set aside as '%s'", healed->aside);
    if (healed->backup_ns != 0)
        buf_addf(&text, "; its copy of %s took its place: runs and alarms since then are not in it", time);
    else
        buf_add_str(&text, "; a new one was begun: earlier runs and alarms are not in it");
    struct alarm_raise alarm = {
        .kind = "catalogue-damaged", .severity = SEVERITY_CRITICAL, .text = buf_str(&text),
        .next_step = "look at the disk below the state directory; then `bkd catalogue rebuild`, with -i IDENTITY to bring back what was exported beside the repositories",
    };
    log_warn("%s; next: %s", alarm.text, alarm.next_step);
    int r = alarms_raise(c, &alarm, NULL, err);
    return r < 0 ? r : catalogue_set_mark(c, "rebuild.wanted", 1, err);
}

void catalogue_heal_mark(const struct io *io, const char *state_dir)
{
    _cleanup_free_ char *path = xasprintf("%s/catalogue.broken", state_dir);
    struct error ignored; // a directory that cannot be written to is told of elsewhere
    int fd = -1;
    if (io_open(io, AT_FDCWD, path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600, &fd, &ignored) == 0)
        io_close_quietly(io, &fd);
}
