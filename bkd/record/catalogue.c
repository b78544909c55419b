#include "bkd/record/catalogue.h"

#include <linux/stat.h>
#include <stdlib.h>

#include "bkd/base/buf.h"
#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/record/catalogue_heal.h"
#include "bkd/record/catalogue_schema.h"
#include "bkd/record/pending.h"

enum { PATIENCE_S = 120 };

static int read_version(struct sql *sql, int64_t *ret_version, struct error *err)
{
    int64_t application = 0;
    int r = sql_number(sql, "PRAGMA application_id", SQL_NOTHING, &application, err);
    if (r == 0)
        r = sql_number(sql, "PRAGMA user_version", SQL_NOTHING, ret_version, err);
    if (r == 0 && *ret_version > 0 && application != CATALOGUE_APPLICATION_ID)
        return error_set(err, ERROR_INTEGRITY, "it is an SQLite database, but not a catalogue of bkd");
    return r;
}

static int refuse_version(int64_t version, struct error *err)
{
    return error_set(err, ERROR_USAGE,
                     version > CATALOGUE_VERSION
                         ? "its schema has version %lld, this bkd knows %d: a newer bkd has worked here; install that one again, or move the file away to begin a new catalogue"
                         : "its schema has version %lld, this bkd reads %d: a command that writes, such as `bkd backup`, brings it up to date",
                     (long long)version, CATALOGUE_VERSION);
}

static int apply_scripts(struct catalogue *c, struct error *err)
{
    int64_t version = 0;
    int r = read_version(c->sql, &version, err); // again: another process may have been here before the lock was ours
    if (r == 0 && version > CATALOGUE_VERSION)
        return refuse_version(version, err);
    c->is_new = r == 0 && version == 0;
    for (int64_t next = version + 1; r == 0 && next <= CATALOGUE_VERSION; next++)
        r = sql_script(c->sql, catalogue_schema_script((int)next), err);
    if (r < 0 || version == CATALOGUE_VERSION)
        return r;
    _cleanup_buf_ struct buf text = { 0 };
    buf_addf(&text, "PRAGMA application_id=%d; PRAGMA user_version=%d", CATALOGUE_APPLICATION_ID, CATALOGUE_VERSION);
    return sql_script(c->sql, buf_str(&text), err);
}

// All of it in one transaction: a kill leaves the old schema or the new one.
static int migrate(struct catalogue *c, struct error *err)
{
    int r = catalogue_begin(c, err);
    return r < 0 ? r : catalogue_end(c, apply_scripts(c, err), err);
}

// Who found it locked a moment ago left its record in the spool. What one run writes in several steps must not wait for the same lock in each of them.
static unsigned patience_ms(const struct catalogue *c)
{
    _cleanup_free_ char *path = xasprintf("%s/catalogue.pending", c->state_dir);
    struct statx st;
    struct error ignored;
    if (io_stat(c->io, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &st, &ignored) < 0)
        return CATALOGUE_BUSY_MS;
    int64_t age_s = (int64_t)(io_realtime_ns(c->io) / UINT64_C(1000000000)) - st.stx_mtime.tv_sec;
    return age_s >= 0 && age_s < PATIENCE_S ? CATALOGUE_BUSY_AGAIN_MS : CATALOGUE_BUSY_MS;
}

static int open_database(struct catalogue *c, enum catalogue_mode mode, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/catalogue.db", c->state_dir);
    struct statx st;
    int r = mode == CATALOGUE_READ ? io_stat(c->io, AT_FDCWD, path, 0, &st, err) : 0;
    if (r == 0)
        r = catalogue_heal_lock(c->io, c->state_dir, false, CATALOGUE_BUSY_MS, &c->lock_fd, err);
    if (r == 0)
        r = sql_open(path, mode == CATALOGUE_WRITE ? SQL_CREATE : SQL_READ_ONLY, patience_ms(c), &c->sql, err);
    if (r == 0 && mode == CATALOGUE_WRITE)
        r = sql_script(c->sql, "PRAGMA journal_mode=WAL", err); // said again, it changes nothing
    int64_t version = 0;
    if (r == 0)
        r = read_version(c->sql, &version, err);
    if (r < 0 || version == CATALOGUE_VERSION)
        return r;
    return mode == CATALOGUE_WRITE && version < CATALOGUE_VERSION ? migrate(c, err) : refuse_version(version, err);
}

static int open_as_it_is(const struct io *io, const char *state_dir, enum catalogue_mode mode, struct catalogue *ret_catalogue, struct error *err)
{
    struct catalogue c = { .io = io, .state_dir = xstrdup(state_dir), .lock_fd = -1 };
    int r = open_database(&c, mode, err);
    if (r == 0)
        *ret_catalogue = c;
    else
        catalogue_close(&c);
    return r;
}

static int heal_if_needed(const struct io *io, const char *state_dir, struct catalogue_healed *ret_healed, struct error *err)
{
    char why[CATALOGUE_TEXT_MAX];
    int r = catalogue_heal_look(io, state_dir, why, err);
    return r < 0 || why[0] == '\0' ? r : catalogue_heal(io, state_dir, CATALOGUE_BUSY_MS, ret_healed, err);
}

// What opening finds to be damaged although it did not look so (another program's database) is healed in a second turn.
static int open_healed(const struct io *io, const char *state_dir, struct catalogue *ret_catalogue, struct error *err)
{
    struct catalogue_healed healed = { .why = "" };
    struct error untold;
    int r = fs_make_dirs(io, AT_FDCWD, state_dir, 0700, err);
    for (int turn = 0; turn == 0 || (turn == 1 && r == ERROR_INTEGRITY); turn++) {
        if (turn == 1)
            catalogue_heal_mark(io, state_dir);
        if (turn == 1 || r == 0)
            r = heal_if_needed(io, state_dir, &healed, err);
        if (r == 0)
            r = open_as_it_is(io, state_dir, CATALOGUE_WRITE, ret_catalogue, err);
    }
    if (r == 0 && healed.why[0] != '\0' && catalogue_heal_tell(ret_catalogue, &healed, &untold) < 0)
        log_warn("the alarm of a damaged catalogue could not be recorded: %s", untold.text);
    return r;
}

// What cannot be taken in now waits for the next opening.
static void take_in_pending(struct catalogue *c)
{
    uint64_t runs = 0;
    struct error err;
    if (pending_take_in(c, c->state_dir, &runs, &err) < 0)
        log_warn("what could not be recorded at its time still waits in '%s/catalogue.pending': %s", c->state_dir, err.text);
    else if (runs > 0)
        log_info("records of runs that could not be written at their time are in the catalogue now: %llu", (unsigned long long)runs);
}

// An older schema is brought up to date by whoever may; else it is refused.
static int open_for_reading(const struct io *io, const char *state_dir, struct catalogue *ret_catalogue, struct error *err)
{
    struct catalogue writer;
    struct error ignored; // the refusal says more
    int r = open_as_it_is(io, state_dir, CATALOGUE_READ, ret_catalogue, err);
    if (r != ERROR_USAGE || open_as_it_is(io, state_dir, CATALOGUE_WRITE, &writer, &ignored) < 0)
        return r;
    catalogue_close(&writer);
    return open_as_it_is(io, state_dir, CATALOGUE_READ, ret_catalogue, err);
}

int catalogue_open(const struct io *io, const char *state_dir, enum catalogue_mode mode, struct catalogue *ret_catalogue, struct error *err)
{
    int r = mode == CATALOGUE_READ ? open_for_reading(io, state_dir, ret_catalogue, err) : open_healed(io, state_dir, ret_catalogue, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, r, "there is no catalogue in '%s' yet", state_dir);
    if (r < 0)
        return error_prefix(err, "catalogue in '%s'", state_dir);
    if (mode == CATALOGUE_WRITE)
        take_in_pending(ret_catalogue);
    return 0;
}

void catalogue_close(struct catalogue *c)
{
    if (c->io == NULL)
        return;
    if (c->sql != NULL && sql_is_damaged(c->sql))
        catalogue_heal_mark(c->io, c->state_dir);
    sql_close(c->sql);
    io_close_quietly(c->io, &c->lock_fd);
    free(c->state_dir);
    *c = (struct catalogue){ 0 };
}

void catalogue_mark_damaged(const struct io *io, const char *state_dir) { catalogue_heal_mark(io, state_dir); }

int catalogue_backup(struct catalogue *c, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/catalogue.backup", c->state_dir), *part = xasprintf("%s/catalogue.backup.part", c->state_dir);
    int fd = -1;
    int r = fs_remove_tree(c->io, AT_FDCWD, part, err); // of a copy that was cut off
    if (r == 0)
        r = io_open(c->io, AT_FDCWD, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &fd, err);
    if (r == 0)
        r = sql_do(c->sql, "VACUUM INTO ?1", SQL_VALUES(SQL_TEXT(part)), err);
    if (r == 0)
        r = io_fsync(c->io, fd, part, err);
    io_close_quietly(c->io, &fd);
    if (r == 0)
        r = io_rename_over(c->io, AT_FDCWD, part, AT_FDCWD, path, err);
    struct error ignored;
    if (r < 0) // a half copy must not keep the room that the catalogue itself may need
        (void)!io_unlink(c->io, AT_FDCWD, part, 0, &ignored);
    return r < 0 ? r : fs_sync_parent(c->io, AT_FDCWD, path, err);
}

static int transact(struct catalogue *c, const char *outer, const char *inner, unsigned depth, struct error *err)
{
    if (depth == 0)
        return sql_script(c->sql, outer, err);
    _cleanup_free_ char *text = xasprintf("%s level_%u", inner, depth);
    return sql_script(c->sql, text, err);
}

int catalogue_begin(struct catalogue *c, struct error *err)
{
    int r = transact(c, "BEGIN IMMEDIATE", "SAVEPOINT", c->depth, err);
    if (r == 0)
        c->depth++;
    return r;
}

int catalogue_end(struct catalogue *c, int r, struct error *err)
{
    c->depth--;
    if (r == 0)
        r = transact(c, "COMMIT", "RELEASE", c->depth, err);
    if (r == 0)
        return 0;
    struct error ignored; // SQLite may have rolled back by itself (a full disk): what failed is told
    if (transact(c, "ROLLBACK", "ROLLBACK TO", c->depth, &ignored) == 0 && c->depth > 0)
        (void)!transact(c, "", "RELEASE", c->depth, &ignored);
    return r;
}

uint64_t catalogue_now_ns(const struct catalogue *c) { return io_realtime_ns(c->io); }

int catalogue_mark(struct catalogue *c, const char *name, int64_t *ret_value, struct error *err)
{
    return sql_number(c->sql, "SELECT coalesce((SELECT value FROM marks WHERE name = ?1), 0)", SQL_VALUES(SQL_TEXT(name)), ret_value, err);
}

int catalogue_set_mark(struct catalogue *c, const char *name, int64_t value, struct error *err)
{
    return sql_do(c->sql, "INSERT INTO marks VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value", SQL_VALUES(SQL_TEXT(name), SQL_I64(value)), err);
}
