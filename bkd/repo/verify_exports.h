// The part of verify.h that looks at exports of catalogues: each must be what was signed. Nothing in the repository refers to them, and only who rebuilds a
// catalogue reads them: damage that shows only then shows too late.
#ifndef BKD_REPO_VERIFY_EXPORTS_H
#define BKD_REPO_VERIFY_EXPORTS_H

#include "bkd/repo/verify_records.h"

// Reads the exports of all chains that the repository has heads of. signers: text of allowed_signers. ERROR_UNREACHABLE ends it.
MUST_USE int verify_exports_run(const struct repository *r, const char *signers, verify_records_tell_fn *tell, void *arg, struct error *err);

#endif
