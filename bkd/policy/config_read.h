// From a tree of YAML nodes to the typed struct config, by the table of config_schema.c; every mistake is reported.
#ifndef BKD_POLICY_CONFIG_READ_H
#define BKD_POLICY_CONFIG_READ_H

#include "bkd/policy/config.h"
#include "bkd/policy/policy_yaml.h"

// What holds where the file says nothing. *config is zeroed by the caller, who frees it with config_done.
void config_set_defaults(struct config *config);
// Fills *config, which has its defaults. `complete` as from policy_yaml_parse.
void config_read(const struct policy_node *root, bool complete, struct config *config, struct policy_errors *errors);

#endif
