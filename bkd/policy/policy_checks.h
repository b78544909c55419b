// The checks of a restore that a policy lists below `verify.checks`: reading them, and what each type needs.
#ifndef BKD_POLICY_POLICY_CHECKS_H
#define BKD_POLICY_POLICY_CHECKS_H

#include "bkd/policy/policy.h"
#include "bkd/policy/schema_read.h"

// Reads the list `node`; mistakes, also of what belongs together, are reported. The table of r is that of policies. Owner frees with policy_checks_done.
void policy_checks_read(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, struct policy_check **ret_checks, size_t *ret_count);
void policy_checks_done(struct policy_check *checks, size_t count);

#endif
