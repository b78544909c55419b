// A policy's sources as the scan wants them, with the rules that hold in each; and the way back from a verdict of the scan to the line of the
// policy that is behind it.
#ifndef BKD_HOST_SOURCES_H
#define BKD_HOST_SOURCES_H

#include "bkd/engine/scan.h"
#include "bkd/policy/policy.h"

struct sources {
    struct scan_source *list; // item i is the policy's source i
    struct exclude_rules *rules;
    size_t count;
};

// Compiles the patterns. The policy stays the caller's and must outlive the result.
MUST_USE int sources_compile(const struct policy *policy, struct sources *ret_sources, struct error *err);
void sources_done(struct sources *sources);

// The key of the policy that left something out of a source, its item or value ("" when it has none to show), and its line in the file, 0 when
// the rule is a default or none of the policy's. Borrowed from the policy or constant.
struct source_rule {
    const char *key; // "exclude", "exclude_if_present" …; "" = a rule of bkd itself
    const char *item;
    unsigned line;
};
struct source_rule sources_rule(const struct policy *policy, size_t source, struct exclude_verdict verdict);

#endif
