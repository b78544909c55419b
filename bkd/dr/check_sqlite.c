// type: sqlite. The restored database is opened for writing: a database that was copied with its -wal file is only whole once that was taken in, which is
// what its program would do, too.
#include <string.h>

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

int check_sqlite(const struct check_tree *tree, const struct policy_check *check, struct buf *ret_found, struct error *err)
{
    _cleanup_free_ char *path = NULL;
    struct sql *db = NULL;
    int r = inside_path(tree->io, tree->fd, check->file, &path, err);
    if (r == 0)
        r = sql_open(path, SQL_READ_WRITE, 1000, &db, err);
    if (r < 0)
        return r;
    r = examine(db, check, ret_found, err);
    sql_close(db);
    return r < 0 ? error_prefix(err, "'%s'", check->file) : 0;
}
