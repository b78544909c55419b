#include "bkd/record/catalogue.h"

#include <stdlib.h>

#include "bkd/base/buf.h"
#include "bkd/base/fs.h"
#include "bkd/record/catalogue_schema.h"

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
    return error_set(err, ERROR_FORMAT,
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
    int r = sql_script(c->sql, "PRAGMA journal_mode=WAL", err);
    if (r == 0)
        r = catalogue_begin(c, err);
    return r < 0 ? r : catalogue_end(c, apply_scripts(c, err), err);
}

static int open_database(struct catalogue *c, enum catalogue_mode mode, struct error *err)
{
    int r = sql_open(c->path, mode == CATALOGUE_WRITE ? SQL_CREATE : SQL_READ_ONLY, CATALOGUE_BUSY_MS, &c->sql, err);
    int64_t version = 0;
    if (r == 0)
        r = read_version(c->sql, &version, err);
    if (r < 0 || version == CATALOGUE_VERSION)
        return r;
    return mode == CATALOGUE_WRITE && version < CATALOGUE_VERSION ? migrate(c, err) : refuse_version(version, err);
}

int catalogue_open(const struct io *io, const char *state_dir, enum catalogue_mode mode, struct catalogue *ret_catalogue, struct error *err)
{
    struct catalogue c = { .io = io, .path = xasprintf("%s/catalogue.db", state_dir) };
    struct statx st;
    int r = mode == CATALOGUE_WRITE ? fs_make_dirs(io, AT_FDCWD, state_dir, 0700, err) : io_stat(io, AT_FDCWD, c.path, 0, &st, err);
    if (r == 0)
        r = open_database(&c, mode, err);
    if (r < 0) {
        catalogue_close(&c);
        return r == ERROR_NOT_FOUND ? error_set(err, r, "there is no catalogue in '%s' yet", state_dir) : error_prefix(err, "catalogue in '%s'", state_dir);
    }
    *ret_catalogue = c;
    return 0;
}

void catalogue_close(struct catalogue *c)
{
    sql_close(c->sql);
    free(c->path);
    *c = (struct catalogue){ 0 };
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
