// What only the catalogue knows, as JSON lines, and back into another catalogue: runs with phases and figures, slots, pauses, alarms, events, verifications,
// drills, versions of policies, hosts, copies. Snapshots are not in it (their heads are), nor the notifiers' outbox (old news is not sent again).
//
//     {"bkd_catalogue":1,"host":"db1","policy":"erp","time":"2026-11-25T…Z","since_ns":0}
//     {"table":"runs","row":{"id":7,"uid":"…","kind":"backup",…}}
//
// Columns are those of doc/catalogue.md; NULLs are left out. Reading is idempotent: rows are known by what names them (a run by its uid), not by their ids,
// and rows that are there already stay as they are. Rows that make no sense are counted and left out.
#ifndef BKD_RECORD_ARCHIVE_H
#define BKD_RECORD_ARCHIVE_H

#include "bkd/base/buf.h"
#include "bkd/record/catalogue.h"

#define ARCHIVE_VERSION 1
#define ARCHIVE_LINE_MAX (1u << 20) // bytes that a reader takes

struct archive_options {
    const char *host;
    const char *policy; // rows of this policy, and those of the whole host; NULL = all
    uint64_t since_ns;  // only what happened since; 0 = all
};

// Gets lines with their LF, one or several at a time. A value other than 0 ends the writing with it.
typedef int archive_sink_fn(void *arg, const void *text, size_t n, struct error *err);
// Reads one consistent state of the catalogue, without holding writers up.
MUST_USE int archive_write(struct catalogue *c, const struct archive_options *options, archive_sink_fn *sink, void *arg, struct error *err);

struct archive_reader {
    struct catalogue *catalogue;
    bool has_header;
    uint64_t rows, known, left_out; // added; there already; of no use
};
// Begins a transaction in which ids are remembered; archive_read for each line, in their order; archive_end, with how the reading went, ends it.
MUST_USE int archive_begin(struct catalogue *c, struct archive_reader *ret_reader, struct error *err);
// One line without LF. ERROR_FORMAT: the first line is no header of an archive; ERROR_USAGE: of a later version.
MUST_USE int archive_read(struct archive_reader *reader, const char *line, size_t n, struct error *err);
// Commits when r is 0. Returns r, or the commit's failure.
MUST_USE int archive_end(struct archive_reader *reader, int r, struct error *err);

#endif
