// The part of a check that reads content: all pieces that snapshots need, each once however many snapshots share it, in the order of the objects.
#ifndef BKD_REPO_VERIFY_DATA_H
#define BKD_REPO_VERIFY_DATA_H

#include "bkd/repo/verify.h"

// What verify.c gives: one chain's valid heads and all objects they need together.
struct verify_data {
    const struct io *io;
    struct repository *repository;
    const struct verify_options *options;
    struct verify_totals *totals;
    const struct format_refs *refs; // of all heads
    const struct repository_head *const *heads;
    size_t n_heads;
};

MUST_USE int verify_data_run(struct verify_data *d, struct error *err);

#endif
