// The table of everything a recovery plan may say. Parser and bkd-plan(5) are made from it.
#ifndef BKD_POLICY_RECOVERY_SCHEMA_H
#define BKD_POLICY_RECOVERY_SCHEMA_H

#include "bkd/policy/recovery.h"
#include "bkd/policy/schema.h"

// Which struct a key's value stands in.
enum recovery_owner { RECOVERY_OF_PLAN, RECOVERY_OF_ROLE, RECOVERY_OF_HOST, RECOVERY_OF_SYSTEM, RECOVERY_OF_TARGET, RECOVERY_OF_STEP };

const struct schema_table *recovery_schema(void);
const struct schema_key *recovery_schema_find(const char *parent, const char *name);
enum recovery_owner recovery_schema_owner(const struct schema_key *key);
// The same of the keys below `parent`, such as "systems.targets".
enum recovery_owner recovery_schema_owner_below(const char *parent);

// The keys of a step that mean something for its type, and those without which it means nothing.
bool recovery_schema_fits(const char *leaf, uint64_t type);
const char *recovery_schema_needs(uint64_t type); // names with blanks between

#endif
