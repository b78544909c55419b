// The values of a policy that are about time: schedules, time zones, times of day, and the policies another one comes after.
#ifndef BKD_POLICY_SCHEMA_TIMES_H
#define BKD_POLICY_SCHEMA_TIMES_H

#include "bkd/policy/calendar.h"
#include "bkd/policy/schema.h"
#include "bkd/policy/schema_read.h"

// One expression or a list of them, each checked, into the struct policy_list of the key. A mistake is shown at its place in the expression.
void schema_times_read_schedule(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base);
// One name of a policy or a list of them. Whether they exist is not asked here: a file is read alone.
void schema_times_read_policies(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base);

// For schema_set and schema_get: a name in the zone database or "host"; "HH:MM" or "none" as minute of the day.
MUST_USE int schema_times_set_zone(const struct schema_key *key, const char *text, char **at, struct error *err);
MUST_USE int schema_times_set_minute(const struct schema_key *key, const char *text, uint64_t *at, struct error *err);
void schema_times_get_minute(uint64_t minute, struct buf *ret_text);

#endif
