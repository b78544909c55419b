// From YAML nodes to a recovery plan, and what belongs together in it.
#ifndef BKD_POLICY_RECOVERY_READ_H
#define BKD_POLICY_RECOVERY_READ_H

#include "bkd/policy/policy_yaml.h"
#include "bkd/policy/recovery.h"

// Reads the tree into *plan, which is empty. Mistakes go to *errors; `complete`: the file could be read to its end.
void recovery_read(const struct policy_node *root, bool complete, struct recovery *plan, struct policy_errors *errors);

// What the keys mean together: names that are there once, references that lead somewhere, no circle.
void recovery_rules_check(const struct recovery *plan, const struct policy_node *root, bool complete, struct policy_errors *errors);

#endif
