// From a tree of YAML nodes to the typed struct policy, by the table of schema.c; every mistake is reported.
#ifndef BKD_POLICY_POLICY_READ_H
#define BKD_POLICY_POLICY_READ_H

#include "bkd/policy/policy.h"
#include "bkd/policy/policy_yaml.h"

// Fills *policy (zeroed by the caller, who frees it with policy_done even after mistakes). `complete` as from policy_yaml_parse.
void policy_read(const struct policy_node *root, bool complete, struct policy *policy, struct policy_errors *errors);

#endif
