// What the `after` of all policies together must be: names of policies that exist, and no circle. Pure.
#ifndef BKD_POLICY_POLICY_ORDER_H
#define BKD_POLICY_POLICY_ORDER_H

#include "bkd/policy/policy.h"

// index: of the policy; item: of its `after`.
typedef void policy_order_report(void *arg, size_t index, size_t item, const char *message);

// Reports each item that cannot hold. Of a circle each policy in it is told, with the way round.
void policy_order_check(const struct policy *const *policies, size_t count, policy_order_report *report, void *arg);

#endif
