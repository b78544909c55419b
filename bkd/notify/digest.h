// The daily digest: one line for each policy, what ran and what failed since the last one, what stands. It comes every day: when it does not, nothing watches.
#ifndef BKD_NOTIFY_DIGEST_H
#define BKD_NOTIFY_DIGEST_H

#include "bkd/base/buf.h"
#include "bkd/record/catalogue.h"

struct digest {
    struct catalogue *catalogue;
    const char *host;
    const char *const *policies; // names of all there are; others with runs in the time are added
    size_t policy_count;
    uint64_t since_ns, now_ns;
};

// Subject, one line, and body, lines ended by LF.
MUST_USE int digest_make(const struct digest *digest, struct buf *ret_subject, struct buf *ret_body, struct error *err);

#endif
