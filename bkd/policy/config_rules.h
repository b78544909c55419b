// What the keys of the host's configuration mean together: routes name channels there are, a channel has what its type needs, and so on.
#ifndef BKD_POLICY_CONFIG_RULES_H
#define BKD_POLICY_CONFIG_RULES_H

#include "bkd/policy/config.h"
#include "bkd/policy/policy_yaml.h"

// `root`: the map that *config was read from.
void config_rules_check(const struct config *config, const struct policy_node *root, struct policy_errors *errors);

#endif
