// The text of each policy as it was at its runs, and the hosts that ran them.
#ifndef BKD_RECORD_POLICY_VERSIONS_H
#define BKD_RECORD_POLICY_VERSIONS_H

#include "bkd/record/catalogue.h"

// Remembers that a policy's file reads so now: a new version, or one that was seen before (then it is seen again). *ret_id goes into run_record.policy_version.
// `text` ends with NUL; what stands behind a NUL in the file is not kept.
MUST_USE int policy_versions_note(struct catalogue *c, const char *policy, const char *text, int64_t *ret_id, struct error *err);
// Remembers that this host ran something now.
MUST_USE int policy_versions_note_host(struct catalogue *c, const char *host, struct error *err);

#endif
