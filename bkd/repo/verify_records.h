// The part of verify.h that looks at signed records: what is wrong with each, and with how they follow one another.
#ifndef BKD_REPO_VERIFY_RECORDS_H
#define BKD_REPO_VERIFY_RECORDS_H

#include "bkd/repo/records.h"

// One finding: the record's file and one sentence. An alarm, or only a note.
typedef void verify_records_tell_fn(void *arg, bool is_alarm, const char *file, const char *reason);

// signers as in records_load. ERROR_UNREACHABLE ends it. *ret_count: how many there are.
MUST_USE int verify_records_run(const struct repository *r, const char *signers, verify_records_tell_fn *tell, void *arg, uint64_t *ret_count,
                                struct error *err);

#endif
