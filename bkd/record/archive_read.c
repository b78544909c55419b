// Reading an archive: the other half of archive.h.
#include <stdlib.h>
#include <string.h>

#include "bkd/base/json.h"
#include "bkd/record/archive.h"
#include "bkd/record/archive_tables.h"

#define COLUMNS_MAX 32

// One row on its way: the columns of the table as it is here that the line gives, with their values (borrowed from the line).
struct row {
    const struct archive_table *table;
    char names[COLUMNS_MAX][CATALOGUE_NAME_MAX];
    struct sql_value values[COLUMNS_MAX + 1];
    size_t n;
    int64_t id; // in the archive; 0 = none
};

int archive_begin(struct catalogue *c, struct archive_reader *ret_reader, struct error *err)
{
    int r = catalogue_begin(c, err);
    if (r < 0)
        return r;
    r = sql_script(c->sql, "CREATE TEMP TABLE archive_ids (name TEXT NOT NULL, old INTEGER NOT NULL, new INTEGER NOT NULL, PRIMARY KEY (name, old)) WITHOUT ROWID", err);
    if (r < 0)
        return catalogue_end(c, r, err);
    *ret_reader = (struct archive_reader){ .catalogue = c };
    return 0;
}

int archive_end(struct archive_reader *reader, int r, struct error *err)
{
    if (r == 0)
        r = sql_script(reader->catalogue->sql, "DROP TABLE archive_ids", err);
    return catalogue_end(reader->catalogue, r, err);
}

static const struct archive_table *find_table(const char *name)
{
    for (size_t i = 0; name != NULL && i < archive_tables_n; i++)
        if (strcmp(archive_tables[i].name, name) == 0)
            return &archive_tables[i];
    return NULL;
}

static const char *table_referred(const struct archive_table *table, const char *column)
{
    for (size_t i = 0; i < sizeof table->refs / sizeof *table->refs && table->refs[i][0] != NULL; i++)
        if (strcmp(table->refs[i][0], column) == 0)
            return table->refs[i][1];
    return NULL;
}

// A reference to a row that is not here becomes none.
static int map_id(struct archive_reader *reader, const char *table, uint64_t old, struct sql_value *ret_value, struct error *err)
{
    int64_t new = 0;
    int r = sql_number(reader->catalogue->sql, "SELECT coalesce((SELECT new FROM archive_ids WHERE name = ?1 AND old = ?2), 0)",
                       SQL_VALUES(SQL_TEXT(table), SQL_I64(old)), &new, err);
    if (r == 0)
        *ret_value = SQL_SOME((uint64_t)new);
    return r;
}

static int take_column(struct archive_reader *reader, const struct json *json, const char *column, struct row *row, struct error *err)
{
    const char *text = json_get_str(json, column), *referred = table_referred(row->table, column);
    uint64_t number = 0;
    if ((text == NULL && !json_get_u64(json, column, &number)) || row->n == COLUMNS_MAX)
        return 0; // NULL, or the default
    if (row->table->has_id && strcmp(column, "id") == 0) {
        row->id = (int64_t)number;
        return 0;
    }
    struct sql_value *value = &row->values[row->n];
    (void)memccpy(row->names[row->n++], column, '\0', CATALOGUE_NAME_MAX - 1);
    *value = text != NULL ? SQL_TEXT(text) : SQL_I64(number);
    return referred == NULL ? 0 : map_id(reader, referred, number, value, err);
}

static int take_columns(struct archive_reader *reader, const struct json *json, struct row *row, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(reader->catalogue->sql, "SELECT name FROM pragma_table_info(?1)", SQL_VALUES(SQL_TEXT(row->table->name)), &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0)
        r = take_column(reader, json, sql_str(s, 0), row, err);
    row->values[row->n] = (struct sql_value){ .type = SQL_TYPE_END };
    return r;
}

// ERROR_NOT_FOUND: there is none that is named so.
static int find_known(struct archive_reader *reader, const struct row *row, int64_t *ret_id, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    buf_addf(&text, "SELECT id FROM %s WHERE true", row->table->name);
    for (size_t i = 0; i < row->n; i++) {
        const char *at = strstr(row->table->known_by, row->names[i]);
        size_t length = strlen(row->names[i]);
        if (at != NULL && (at == row->table->known_by || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            buf_addf(&text, " AND %s = ?%zu", row->names[i], i + 1);
        else
            buf_addf(&text, " AND ?%zu IS ?%zu", i + 1, i + 1);
    }
    buf_add_str(&text, " ORDER BY id DESC LIMIT 1");
    return sql_number(reader->catalogue->sql, buf_str(&text), row->values, ret_id, err);
}

static int is_free(struct archive_reader *reader, const struct row *row, bool *ret_free, struct error *err)
{
    _cleanup_free_ char *text = xasprintf("SELECT count(*) FROM %s WHERE id = ?1", row->table->name);
    int64_t n = 0;
    int r = sql_number(reader->catalogue->sql, text, SQL_VALUES(SQL_I64(row->id)), &n, err);
    *ret_free = r == 0 && row->id > 0 && n == 0;
    return r;
}

static int insert(struct archive_reader *reader, struct row *row, struct error *err)
{
    _cleanup_buf_ struct buf names = { 0 }, places = { 0 }, text = { 0 };
    bool keeps_id = false;
    int r = row->table->has_id ? is_free(reader, row, &keeps_id, err) : 0;
    for (size_t i = 0; i < row->n; i++) {
        buf_addf(&names, "%s%s", i > 0 ? ", " : "", row->names[i]);
        buf_addf(&places, "%s?%zu", i > 0 ? ", " : "", i + 1);
    }
    if (keeps_id) {
        buf_add_str(&names, ", id");
        buf_addf(&places, ", %lld", (long long)row->id);
    }
    buf_addf(&text, "INSERT INTO %s (%s) VALUES (%s) ON CONFLICT DO NOTHING", row->table->name, buf_str(&names), buf_str(&places));
    return r < 0 ? r : sql_do(reader->catalogue->sql, buf_str(&text), row->values, err);
}

static int remember_id(struct archive_reader *reader, const struct row *row, int64_t id, struct error *err)
{
    return sql_do(reader->catalogue->sql, "INSERT OR REPLACE INTO archive_ids VALUES (?1, ?2, ?3)", SQL_VALUES(SQL_TEXT(row->table->name), SQL_I64(row->id), SQL_I64(id)), err);
}

static int add_row(struct archive_reader *reader, struct row *row, struct error *err)
{
    int64_t id = 0;
    int r = row->table->has_id ? find_known(reader, row, &id, err) : ERROR_NOT_FOUND;
    if (r == 0) {
        reader->known++;
        return remember_id(reader, row, id, err);
    }
    if (r != ERROR_NOT_FOUND)
        return r;
    r = insert(reader, row, err);
    if (r < 0)
        return r;
    bool is_new = sql_changes(reader->catalogue->sql) == 1;
    *(is_new ? &reader->rows : &reader->known) += 1;
    return is_new && row->table->has_id ? remember_id(reader, row, sql_last_id(reader->catalogue->sql), err) : 0;
}

static int read_header(struct archive_reader *reader, const struct json *json, struct error *err)
{
    uint64_t version = 0;
    if (!json_get_u64(json, "bkd_catalogue", &version))
        return error_set(err, ERROR_FORMAT, "it is no export of a catalogue");
    if (version != ARCHIVE_VERSION)
        return error_set(err, ERROR_USAGE, "it is an export of version %llu: a newer bkd reads it", (unsigned long long)version);
    reader->has_header = true;
    return 0;
}

// What a row breaks (a check of the table, a run that is missing) concerns that row only.
static bool is_the_rows_fault(int r) { return r == ERROR_FAILED || r == ERROR_EXISTS; }

int archive_read(struct archive_reader *reader, const char *line, size_t n, struct error *err)
{
    _cleanup_json_ struct json *json = NULL;
    struct row row = { 0 };
    struct error why;
    int r = n > ARCHIVE_LINE_MAX ? ERROR_FORMAT : json_parse(line, n, &json, &why);
    if (!reader->has_header)
        return r < 0 ? error_set(err, ERROR_FORMAT, "it is no export of a catalogue") : read_header(reader, json, err);
    const struct json *values = r < 0 ? NULL : json_get(json, "row");
    row.table = r < 0 ? NULL : find_table(json_get_str(json, "table"));
    if (row.table == NULL || values == NULL) {
        reader->left_out++;
        return 0;
    }
    r = take_columns(reader, values, &row, err);
    if (r == 0)
        r = row.n == 0 ? ERROR_FAILED : add_row(reader, &row, err);
    if (!is_the_rows_fault(r))
        return r;
    reader->left_out++;
    return 0;
}
