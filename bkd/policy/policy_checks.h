// The checks of a restore that a policy lists below `verify.checks`: reading them, and what each type needs.
#ifndef BKD_POLICY_POLICY_CHECKS_H
#define BKD_POLICY_POLICY_CHECKS_H

#include "bkd/policy/policy.h"
#include "bkd/policy/schema_read.h"

// Reads the list `node` into the policy; mistakes, also of what belongs together, are reported.
void policy_checks_read(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, struct policy *policy);
void policy_checks_done(struct policy *policy);

#endif
