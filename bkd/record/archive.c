#include "bkd/record/archive.h"

#include "bkd/base/json.h"
#include "bkd/record/archive_tables.h"

#define CHUNK (1u << 20)

struct writing {
    struct catalogue *catalogue;
    const struct archive_options *options;
    archive_sink_fn *sink;
    void *arg;
    struct buf text; // owned
};

static int give(struct writing *w, struct error *err)
{
    int r = w->sink(w->arg, w->text.data, w->text.len, err);
    buf_reset(&w->text);
    return r;
}

static void add_row(struct writing *w, const struct archive_table *table, struct sql_statement *s)
{
    _cleanup_json_ struct json *line = json_object_new();
    json_add_str(line, "table", table->name);
    struct json *row = json_add_object(line, "row");
    for (int i = 0; i < sql_columns(s); i++) {
        if (sql_column_type(s, i) == SQL_TYPE_I64)
            json_add_i64(row, sql_column_name(s, i), sql_i64(s, i));
        else if (sql_column_type(s, i) == SQL_TYPE_TEXT)
            json_add_str(row, sql_column_name(s, i), sql_str(s, i));
    }
    json_format(line, &w->text);
    buf_add_char(&w->text, '\n');
}

static int write_table(struct writing *w, const struct archive_table *table, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    _cleanup_free_ char *text = xasprintf("SELECT * FROM %s", table->select);
    int r = sql_query(w->catalogue->sql, text, SQL_VALUES(SQL_TEXT(w->options->policy), SQL_I64(w->options->since_ns)), &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0) {
        add_row(w, table, s);
        r = w->text.len >= CHUNK ? give(w, err) : 0;
    }
    return r;
}

static void add_header(struct writing *w)
{
    _cleanup_json_ struct json *line = json_object_new();
    json_add_u64(line, "bkd_catalogue", ARCHIVE_VERSION);
    json_add_str(line, "host", w->options->host);
    json_add_str(line, "policy", w->options->policy);
    json_add_time(line, "time", catalogue_now_ns(w->catalogue));
    json_add_u64(line, "since_ns", w->options->since_ns);
    json_format(line, &w->text);
    buf_add_char(&w->text, '\n');
}

static int write_all(struct writing *w, struct error *err)
{
    int r = 0;
    add_header(w);
    for (size_t i = 0; r == 0 && i < archive_tables_n; i++)
        r = write_table(w, &archive_tables[i], err);
    return r < 0 || w->text.len == 0 ? r : give(w, err);
}

int archive_write(struct catalogue *c, const struct archive_options *options, archive_sink_fn *sink, void *arg, struct error *err)
{
    struct writing w = { .catalogue = c, .options = options, .sink = sink, .arg = arg };
    struct error ignored;
    int r = sql_script(c->sql, "BEGIN", err); // reads one state; WAL lets others write meanwhile
    if (r < 0)
        return r;
    r = write_all(&w, err);
    (void)!sql_script(c->sql, "ROLLBACK", &ignored); // nothing was written
    buf_done(&w.text);
    return r;
}
