// A snapshot beside another one, or beside the files as they are now, opened for comparing: what `bkd diff` and `bkd rollback` begin with.
#ifndef BKD_SNAPSHOTS_DIFFING_H
#define BKD_SNAPSHOTS_DIFFING_H

#include "bkd/base/progress.h"
#include "bkd/engine/diff.h"
#include "bkd/host/setup.h"

struct diffing_options {
    const char *policy;
    const char *a;        // snapshot, as a person names it
    const char *b;        // NULL: the live tree
    const char *identity; // -i FILE, or NULL
    const char *const *paths; // absolute, as given on the command line
    size_t n_paths;
    bool content; // hash every file of the live tree
};

struct diffing {
    const struct context *ctx;
    struct setup setup;
    struct repository *repository;
    struct diffing_side {
        const struct repository_head *head; // b, live: the newest, whose attributes unchanged files still have
        struct setup_manifest manifest;
        struct manifest_reader reader;
        struct snapshot snapshot; // opened when a text of attributes is asked for
        bool is_reading, is_open;
    } a, b;
    struct age_identities identities;
    struct live *live;
    struct scan_source *present; // those of the policy's sources that are there; owned
    size_t n_present;
    int scratch_fd; // a directory
    char **paths;   // normalised; owned
    size_t n_paths;
    bool content;
    struct progress *progress;
    uint64_t problems; // what could not be read in the live tree
};

// ERROR_USAGE for a PATH that is not absolute; ERROR_KEY where an identity is needed. Walks the sources when B is the live tree; one
// that is not there is told, and counts as removed with all it held.
MUST_USE int diffing_open(struct diffing *d, const struct context *ctx, const struct diffing_options *options, struct error *err);
void diffing_done(struct diffing *d);
#define _cleanup_diffing_ __attribute__((cleanup(diffing_done)))

// Compares, once. What cannot be read in the live tree is told and counted.
MUST_USE int diffing_run(struct diffing *d, diff_change_fn *change, void *arg, struct diff_counts *ret_counts, struct error *err);

// One change as a line: text, or JSON of the type "change".
MUST_USE int diffing_print(const struct context *ctx, const struct diff_change *change, struct error *err);
// "3 added, 1 removed, 2 modified, 0 with other metadata", or the keys of a summary.
void diffing_add_counts(struct json *line, const struct diff_counts *counts);
void diffing_print_counts(const struct diff_counts *counts);

#endif
