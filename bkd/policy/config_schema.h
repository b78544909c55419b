// The table of everything CONFIG_DIR/bkd.yaml may say. Parser, `bkd config check`, `bkd config show` and bkd.yaml(5) are made from it.
#ifndef BKD_POLICY_CONFIG_SCHEMA_H
#define BKD_POLICY_CONFIG_SCHEMA_H

#include "bkd/policy/config.h"
#include "bkd/policy/schema.h"

// Which struct a key's value stands in.
enum config_owner { CONFIG_OF_HOST, CONFIG_OF_CHANNEL, CONFIG_OF_ROUTE };

const struct schema_table *config_schema(void);
const struct schema_key *config_schema_find(const char *parent, const char *name);
size_t config_schema_index(const struct schema_key *key);
enum config_owner config_schema_owner(const struct schema_key *key);

// The keys of a channel that mean something for its type.
bool config_schema_fits(const struct schema_key *key, enum config_channel_type type);

#endif
