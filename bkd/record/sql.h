// SQLite behind a small interface: a connection, statements with typed values, errors as ours. The only module that includes sqlite3.h.
//
// Usual order: sql_open; sql_do …; sql_query, sql_next until 0, sql_statement_free; sql_close. Values are bound by position:
//
//     sql_do(db, "UPDATE runs SET message = ?2 WHERE id = ?1", SQL_VALUES(SQL_I64(id), SQL_TEXT(message)), err)
//
// What SQLite says becomes: ERROR_BUSY (another connection holds the lock longer than the connection waits), ERROR_NO_SPACE, ERROR_INTEGRITY (the file is
// damaged or no database), ERROR_EXISTS (a unique key is taken), ERROR_FAILED (the rest). The text names the file. A connection belongs to one thread.
#ifndef BKD_RECORD_SQL_H
#define BKD_RECORD_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/error.h"

struct sql;
struct sql_statement;

enum sql_access {
    SQL_READ_ONLY,  // the file must exist
    SQL_READ_WRITE, // the file must exist
    SQL_CREATE,     // is made (mode 0600) when missing
};

enum sql_type { SQL_TYPE_END, SQL_TYPE_NULL, SQL_TYPE_I64, SQL_TYPE_TEXT };

struct sql_value {
    enum sql_type type;
    int64_t number;
    const char *text; // borrowed until the call returns
};

#define SQL_I64(v) ((struct sql_value){ .type = SQL_TYPE_I64, .number = (int64_t)(v) })
#define SQL_TEXT(v) sql_text(v)    // NULL becomes NULL
#define SQL_NAMED(v) sql_named(v)  // NULL becomes ''
#define SQL_SOME(v) sql_some(v)    // 0 becomes NULL: times and references that are not there
#define SQL_VALUES(...) ((const struct sql_value[]){ __VA_ARGS__, { .type = SQL_TYPE_END } })
#define SQL_NOTHING ((const struct sql_value[]){ { .type = SQL_TYPE_END } })

struct sql_value sql_text(const char *text);
struct sql_value sql_named(const char *text);
struct sql_value sql_some(uint64_t number); // above INT64_MAX becomes INT64_MAX

// Opens with foreign keys on, synchronous=FULL and a wait of busy_ms for locks of others. Nothing is read yet but the header.
MUST_USE int sql_open(const char *path, enum sql_access access, unsigned busy_ms, struct sql **ret_db, struct error *err);
// From now on statements are given up when `is_over`, which is asked several times a second, says so: ERROR_FAILED then, "interrupted".
typedef bool sql_is_over(void *arg);
void sql_give_up(struct sql *db, sql_is_over *is_over, void *arg);
// Has damage been met on this connection?
bool sql_is_damaged(const struct sql *db);
// NULL is fine. All statements must have been freed.
void sql_close(struct sql *db);

// Runs statements without parameters, separated by semicolons.
MUST_USE int sql_script(struct sql *db, const char *text, struct error *err);
// Runs one statement that gives no rows.
MUST_USE int sql_do(struct sql *db, const char *text, const struct sql_value *values, struct error *err);
// The id of the row inserted last, and how many rows the last sql_do changed.
int64_t sql_last_id(const struct sql *db);
int64_t sql_changes(const struct sql *db);
// One number: the first column of the first row. ERROR_NOT_FOUND without a row; NULL is 0.
MUST_USE int sql_number(struct sql *db, const char *text, const struct sql_value *values, int64_t *ret_number, struct error *err);

// Begins a statement that gives rows; values are copied.
MUST_USE int sql_query(struct sql *db, const char *text, const struct sql_value *values, struct sql_statement **ret_statement, struct error *err);
// The next row: 1; 0 behind the last one; or a negative error code.
MUST_USE int sql_next(struct sql_statement *statement, struct error *err);
void sql_statement_free(struct sql_statement **statement);
#define _cleanup_sql_statement_ __attribute__((cleanup(sql_statement_free)))

// Columns of the present row, from 0. Text is never NULL ("" for NULL) and valid until the next sql_next. sql_copy cuts to n-1 bytes.
int64_t sql_i64(struct sql_statement *statement, int column);
uint64_t sql_u64(struct sql_statement *statement, int column); // negative becomes 0
bool sql_is_null(struct sql_statement *statement, int column);
const char *sql_str(struct sql_statement *statement, int column);
void sql_copy(struct sql_statement *statement, int column, char *ret_text, size_t n);
int sql_columns(struct sql_statement *statement);
const char *sql_column_name(struct sql_statement *statement, int column);
enum sql_type sql_column_type(struct sql_statement *statement, int column);

#endif
