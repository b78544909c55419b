// type: sqlite. The restored database is opened for writing: a database that was copied with its -wal file is only whole once that was taken in, which is
// what its program would do, too.
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/dr/check_kinds.h"
#include "bkd/dr/inside.h"
#include "bkd/record/sql.h"

// The rows of an answer as sqlite3(1) prints them: columns with "|" between, a row a line.
static int ask(struct sql *db, const char *query, struct buf *ret_answer, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *statement = NULL;
    int r = sql_query(db, query, SQL_NOTHING, &statement, err);
    while (r == 0 && (r = sql_next(statement, err)) == 1) {
        for (int i = 0; i < sql_columns(statement); i++)
            buf_addf(ret_answer, "%s%s", i == 0 ? "" : "|", sql_str(statement, i));
        buf_add_char(ret_answer, '\n');
        r = ret_answer->len > (64u << 10) ? error_set(err, ERROR_FAILED, "the answer to the query is longer than 64 KiB") : 0;
    }
    return r;
}

static int examine(struct sql *db, const struct policy_check *check, struct buf *ret_found, struct error *err)
{
    _cleanup_buf_ struct buf integrity = { 0 }, answer = { 0 };
    int r = ask(db, "PRAGMA integrity_check", &integrity, err);
    if (r == 0 && strcmp(buf_str(&integrity), "ok\n") != 0)
        r = error_set(err, ERROR_FAILED, "integrity_check says: %.*s", (int)strcspn(buf_str(&integrity), "\n"), buf_str(&integrity));
    if (r < 0 || check->query[0] == '\0') {
        buf_add_str(ret_found, "whole");
        return r;
    }
    r = ask(db, check->query, &answer, err);
    if (r == 0)
        r = check_expected(check, buf_str(&answer), err);
    buf_addf(ret_found, "whole; the query gives %.*s", (int)strcspn(buf_str(&answer), "\n"), buf_str(&answer));
    return r;
}

struct limit {
    const struct check_tree *tree;
    uint64_t until_ns;
    bool was_reached;
};

// The question comes many times a second: an endless query, or a person who wants to end it.
static bool is_over(void *arg)
{
    struct limit *limit = arg;
    limit->was_reached = limit->was_reached || io_monotonic_ns(limit->tree->io) > limit->until_ns;
    return limit->was_reached || (limit->tree->stop != NULL && limit->tree->stop(NULL));
}

// No bytes at all are a sound database to SQLite, one without tables: what a program left so has lost its content.
static int refuse_empty(const struct check_tree *tree, const char *path, struct error *err)
{
    struct statx st;
    int r = io_stat(tree->io, AT_FDCWD, path, 0, &st, err);
    return r == 0 && st.stx_size == 0 ? error_set(err, ERROR_FAILED, "the file is empty: it holds no database") : r;
}

static int open_and_examine(const struct check_tree *tree, const struct policy_check *check, const char *path, struct buf *ret_found, struct error *err)
{
    struct limit limit = { .tree = tree, .until_ns = io_monotonic_ns(tree->io) + check->timeout_s * UINT64_C(1000000000) };
    char allowed[CLOCK_TEXT_MAX];
    struct sql *db = NULL;
    int r = sql_open(path, SQL_READ_WRITE, 1000, &db, err);
    if (r < 0)
        return r;
    sql_give_up(db, is_over, &limit);
    r = examine(db, check, ret_found, err);
    sql_close(db);
    clock_format_duration(allowed, check->timeout_s * UINT64_C(1000000000));
    return r < 0 && limit.was_reached ? error_set(err, r, "it was ended because it took longer than %s", allowed) : r;
}

int check_sqlite(const struct check_tree *tree, const struct policy_check *check, struct buf *ret_found, struct error *err)
{
    _cleanup_free_ char *path = NULL;
    int r = inside_path(tree->io, tree->fd, check->file, &path, err);
    if (r < 0)
        return r;
    r = refuse_empty(tree, path, err);
    if (r == 0)
        r = open_and_examine(tree, check, path, ret_found, err);
    return r < 0 ? error_prefix(err, "'%s'", check->file) : 0;
}
