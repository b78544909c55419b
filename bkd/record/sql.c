#include "bkd/record/sql.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bkd/base/buf.h"

#define STEPS_BETWEEN 20000 // of SQLite's machine: about a millisecond

struct sql {
    sqlite3 *db;
    char *path;
    bool is_damaged;
    sql_is_over *is_over; // NULL: statements take as long as they take
    void *is_over_arg;
};

struct sql_statement {
    struct sql *sql;
    sqlite3_stmt *stmt;
};

struct sql_value sql_text(const char *text)
{
    return (struct sql_value){ .type = text == NULL ? SQL_TYPE_NULL : SQL_TYPE_TEXT, .text = text };
}

struct sql_value sql_named(const char *text) { return (struct sql_value){ .type = SQL_TYPE_TEXT, .text = text == NULL ? "" : text }; }

struct sql_value sql_some(uint64_t number)
{
    int64_t value = number > INT64_MAX ? INT64_MAX : (int64_t)number;
    return (struct sql_value){ .type = number == 0 ? SQL_TYPE_NULL : SQL_TYPE_I64, .number = value };
}

static enum error_code code_of(int sqlite, int os_errno)
{
    if (sqlite == SQLITE_CONSTRAINT_UNIQUE || sqlite == SQLITE_CONSTRAINT_PRIMARYKEY)
        return ERROR_EXISTS;
    switch (sqlite & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERROR_BUSY;
    case SQLITE_FULL:
        return ERROR_NO_SPACE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERROR_INTEGRITY;
    case SQLITE_IOERR: // the shared memory of a full disk, for one, is an input/output error to SQLite
        return os_errno == ENOSPC || os_errno == EDQUOT ? ERROR_NO_SPACE : ERROR_FAILED;
    default:
        return ERROR_FAILED;
    }
}

static int fail(struct sql *db, struct error *err)
{
    int sqlite = sqlite3_extended_errcode(db->db), os_errno = sqlite3_system_errno(db->db);
    db->is_damaged = db->is_damaged || code_of(sqlite, os_errno) == ERROR_INTEGRITY;
    bool has_errno = os_errno != 0 && ((sqlite & 0xff) == SQLITE_IOERR || (sqlite & 0xff) == SQLITE_CANTOPEN);
    return error_set(err, code_of(sqlite, os_errno), "'%s': %s%s%s", db->path, sqlite3_errmsg(db->db), has_errno ? ": " : "", has_errno ? strerror(os_errno) : "");
}

// SQLite makes files with the umask's mode: the history of a host is its owner's alone, so an empty file is made first. It is not opened for that: closing
// any descriptor of a database takes the locks of all the process's connections to it away (https://sqlite.org/howtocorrupt.html, 2.2), after which another
// process may throw the write-ahead log out that they work with. SQLite knows its own connections, so several in a process are fine.
static int make_private(const char *path, struct error *err)
{
    if (mknod(path, S_IFREG | 0600, 0) < 0 && errno != EEXIST)
        return error_set_errno(err, errno, "make '%s'", path);
    return 0;
}

int sql_open(const char *path, enum sql_access access, unsigned busy_ms, struct sql **ret_db, struct error *err)
{
    static const int flags[] = { [SQL_READ_ONLY] = SQLITE_OPEN_READONLY, [SQL_READ_WRITE] = SQLITE_OPEN_READWRITE, [SQL_CREATE] = SQLITE_OPEN_READWRITE };
    int r = access == SQL_CREATE ? make_private(path, err) : 0;
    if (r < 0)
        return r;
    struct sql *db = xcalloc(1, sizeof *db);
    db->path = xstrdup(path);
    int sqlite = sqlite3_open_v2(path, &db->db, flags[access] | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
    if (db->db == NULL)
        r = error_set(err, ERROR_FAILED, "'%s': out of memory", path);
    else if (sqlite != SQLITE_OK)
        r = fail(db, err);
    if (r == 0) {
        (void)sqlite3_extended_result_codes(db->db, 1);
        (void)sqlite3_busy_timeout(db->db, (int)busy_ms);
        r = sql_script(db, "PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL; PRAGMA trusted_schema=OFF", err);
    }
    if (r < 0)
        sql_close(db);
    else
        *ret_db = db;
    return r;
}

static int ask_whether_over(void *arg)
{
    const struct sql *db = arg;
    return db->is_over(db->is_over_arg);
}

void sql_give_up(struct sql *db, sql_is_over *is_over, void *arg)
{
    db->is_over = is_over;
    db->is_over_arg = arg;
    sqlite3_progress_handler(db->db, STEPS_BETWEEN, ask_whether_over, db);
}

bool sql_is_damaged(const struct sql *db) { return db->is_damaged; }

void sql_close(struct sql *db)
{
    if (db == NULL)
        return;
    (void)sqlite3_close(db->db); // fails only for statements that were left, a mistake that leak checkers show
    free(db->path);
    free(db);
}

int sql_script(struct sql *db, const char *text, struct error *err)
{
    return sqlite3_exec(db->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(db, err);
}

static int bind(struct sql_statement *s, const struct sql_value *values, struct error *err)
{
    int rc = SQLITE_OK;
    for (int i = 0; rc == SQLITE_OK && values[i].type != SQL_TYPE_END; i++) {
        const struct sql_value *v = &values[i];
        if (v->type == SQL_TYPE_I64)
            rc = sqlite3_bind_int64(s->stmt, i + 1, v->number);
        else if (v->type == SQL_TYPE_TEXT)
            rc = sqlite3_bind_text(s->stmt, i + 1, v->text, -1, SQLITE_TRANSIENT);
        else
            rc = sqlite3_bind_null(s->stmt, i + 1);
    }
    return rc == SQLITE_OK ? 0 : fail(s->sql, err);
}

int sql_query(struct sql *db, const char *text, const struct sql_value *values, struct sql_statement **ret_statement, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = xcalloc(1, sizeof *s);
    s->sql = db;
    if (sqlite3_prepare_v2(db->db, text, -1, &s->stmt, NULL) != SQLITE_OK)
        return fail(db, err);
    int r = bind(s, values, err);
    if (r == 0)
        *ret_statement = TAKE(s);
    return r;
}

int sql_next(struct sql_statement *statement, struct error *err)
{
    int rc = sqlite3_step(statement->stmt);
    return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : fail(statement->sql, err);
}

void sql_statement_free(struct sql_statement **statement)
{
    if (*statement == NULL)
        return;
    (void)sqlite3_finalize((*statement)->stmt); // repeats the error of the last step, which was told
    free(*statement);
    *statement = NULL;
}

int sql_do(struct sql *db, const char *text, const struct sql_value *values, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(db, text, values, &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0)
        r = 0; // rows of a PRAGMA or RETURNING are not wanted
    return r;
}

int64_t sql_last_id(const struct sql *db) { return sqlite3_last_insert_rowid(db->db); }
int64_t sql_changes(const struct sql *db) { return sqlite3_changes64(db->db); }

int sql_number(struct sql *db, const char *text, const struct sql_value *values, int64_t *ret_number, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(db, text, values, &s, err);
    if (r == 0)
        r = sql_next(s, err);
    if (r == 0)
        return error_set(err, ERROR_NOT_FOUND, "'%s' has no such row", db->path);
    if (r > 0)
        *ret_number = sql_i64(s, 0);
    return r < 0 ? r : 0;
}

int64_t sql_i64(struct sql_statement *statement, int column) { return sqlite3_column_int64(statement->stmt, column); }

uint64_t sql_u64(struct sql_statement *statement, int column)
{
    int64_t value = sql_i64(statement, column);
    return value < 0 ? 0 : (uint64_t)value;
}

bool sql_is_null(struct sql_statement *statement, int column) { return sqlite3_column_type(statement->stmt, column) == SQLITE_NULL; }

const char *sql_str(struct sql_statement *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement->stmt, column);
    return text == NULL ? "" : (const char *)text;
}

void sql_copy(struct sql_statement *statement, int column, char *ret_text, size_t n)
{
    const char *text = sql_str(statement, column);
    size_t length = strnlen(text, n - 1);
    memcpy(ret_text, text, length);
    ret_text[length] = '\0';
}

int sql_columns(struct sql_statement *statement) { return sqlite3_column_count(statement->stmt); }
const char *sql_column_name(struct sql_statement *statement, int column) { return sqlite3_column_name(statement->stmt, column); }

enum sql_type sql_column_type(struct sql_statement *statement, int column)
{
    int type = sqlite3_column_type(statement->stmt, column);
    return type == SQLITE_NULL ? SQL_TYPE_NULL : type == SQLITE_INTEGER ? SQL_TYPE_I64 : SQL_TYPE_TEXT;
}
