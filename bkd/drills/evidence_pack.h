// Evidence for others: drills with their records, logs and signed heads, and the runs and verifications of that time, in one signed package that is verified
// with tar, zstd, sha256sum and ssh-keygen alone.
#ifndef BKD_DRILLS_EVIDENCE_PACK_H
#define BKD_DRILLS_EVIDENCE_PACK_H

#include "bkd/dr/period.h"
#include "bkd/host/context.h"

struct evidence_pack_options {
    const char *drill;            // its id, or how it begins; NULL = all of the period, and what was run for any policy and plan
    const struct period *period;  // when it began; NULL with `drill`
    const char *name;             // of the directory in the package
    const char *file;             // does not exist yet
};

struct evidence_pack_result {
    uint64_t drills, runs, verifications, files, bytes; // bytes of the package
};

// ERROR_NOT_FOUND: no such drill, or nothing at all in the period (nothing is written then). ERROR_EXISTS: the file is there. ERROR_KEY: nothing to sign with.
MUST_USE int evidence_pack(const struct context *ctx, const struct evidence_pack_options *options, struct evidence_pack_result *ret_result, struct error *err);

#endif
