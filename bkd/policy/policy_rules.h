// What the keys of a policy mean together: sources must not overlap each other or the repository, and so on.
#ifndef BKD_POLICY_POLICY_RULES_H
#define BKD_POLICY_POLICY_RULES_H

#include "bkd/policy/policy.h"
#include "bkd/policy/policy_yaml.h"

// Where values stand in the file; NULL when they are not in it.
struct policy_places {
    bool complete; // the file could be read to its end: what is missing is missing
    const struct policy_node *sources; // the list; item i belongs to policy->sources[i]
    const struct policy_node *repository;
    const struct policy_node *exclude; // the list at the top level
    const struct policy_node *offsite; // the list; item i belongs to policy->offsite.items[i]
    const struct policy_node *recipients;
    const struct policy_node *window, *retry, *after, *verify;
};

// Values that were wrong by themselves (reported already) are NULL in *policy and are passed over.
void policy_rules_check(const struct policy *policy, const struct policy_places *places, struct policy_errors *errors);

#endif
