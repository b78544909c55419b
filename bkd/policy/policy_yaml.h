// YAML text as a tree of nodes that know their place. The only module that includes yaml.h (libyaml events).
// What policies do not use is refused here: anchors, aliases, tags, directives, several documents, deep nesting.
#ifndef BKD_POLICY_POLICY_YAML_H
#define BKD_POLICY_POLICY_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "bkd/policy/policy_errors.h"

#define POLICY_YAML_DEPTH_MAX 8

enum policy_node_kind { POLICY_NODE_TEXT, POLICY_NODE_LIST, POLICY_NODE_MAP };

struct policy_node {
    enum policy_node_kind kind;
    unsigned line, column, width; // where it starts; width of its first line, at least 1
    bool plain;                   // text without quotes
    bool spoiled;                 // already reported (an alias, say): its value means nothing
    char *text;                   // of POLICY_NODE_TEXT; no NUL inside
    struct policy_node **items;   // of a list its items; of a map key, value, key, value …
    size_t count;                 // of items (in a map twice the number of keys)
};

// Parses errors->text. Mistakes go to *errors. *ret_root is what could be read, NULL when there is nothing;
// *ret_complete is false when the text could not be read to its end (missing keys then mean nothing).
void policy_yaml_parse(struct policy_errors *errors, struct policy_node **ret_root, bool *ret_complete);
void policy_node_free(struct policy_node **node);
#define _cleanup_policy_node_ __attribute__((cleanup(policy_node_free)))

#endif
