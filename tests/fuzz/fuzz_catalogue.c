// Untrusted lines on their way into the catalogue: of catalogue.pending, and of an export. They are refused, left out, or taken as rows that the tables allow.
#include <assert.h>
#include <string.h>

#include "bkd/record/archive.h"
#include "bkd/record/catalogue_schema.h"
#include "bkd/record/run_facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_facts(const char *text, size_t n)
{
    struct error err;
    _cleanup_run_facts_ struct run_facts facts = { 0 }, again = { 0 };
    _cleanup_buf_ struct buf once = { 0 }, twice = { 0 };
    int r = run_facts_parse(text, n, &facts, &err);
    assert(r == 0 || r == ERROR_FORMAT);
    if (r < 0)
        return;
    run_facts_format(&facts, &once);
    r = run_facts_parse((const char *)once.data, once.len - 1, &again, &err);
    assert(r == 0);
    run_facts_format(&again, &twice);
    assert(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
}

static int read_lines(struct archive_reader *reader, const char *text, size_t n, struct error *err)
{
    int r = 0;
    for (size_t at = 0; r == 0 && at < n;) {
        const char *end = memchr(text + at, '\n', n - at);
        size_t length = end == NULL ? n - at : (size_t)(end - text) - at;
        r = archive_read(reader, text + at, length, err);
        at += length + 1;
    }
    return r;
}

static void try_archive(const char *text, size_t n)
{
    struct error err;
    struct catalogue c = { .io = io_real(), .lock_fd = -1 };
    struct archive_reader reader;
    int64_t broken = -1;
    int r = sql_open(":memory:", SQL_READ_WRITE, 0, &c.sql, &err);
    for (int version = 1; r == 0 && version <= CATALOGUE_VERSION; version++)
        r = sql_script(c.sql, catalogue_schema_script(version), &err);
    if (r == 0)
        r = archive_begin(&c, &reader, &err);
    assert(r == 0);
    r = archive_end(&reader, read_lines(&reader, text, n, &err), &err);
    assert(r == 0 || r == ERROR_FORMAT || r == ERROR_USAGE);
    r = sql_number(c.sql, "SELECT count(*) FROM pragma_foreign_key_check", SQL_NOTHING, &broken, &err);
    assert(r == 0 && broken == 0);
    sql_close(c.sql);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 65536)
        return 0;
    try_facts((const char *)data, size);
    try_archive((const char *)data, size);
    return 0;
}
