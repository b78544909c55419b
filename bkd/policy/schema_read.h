// From YAML nodes to values by a table of keys: what reading a policy and reading the host's configuration have in common.
// The owner of the table gives `read`, which reads one value and comes back here for maps, scalars and lists of arguments.
// Every mistake goes to `errors`; a value with a mistake is left as it was.
#ifndef BKD_POLICY_SCHEMA_READ_H
#define BKD_POLICY_SCHEMA_READ_H

#include "bkd/policy/policy.h"
#include "bkd/policy/policy_yaml.h"
#include "bkd/policy/schema.h"

struct schema_reader {
    const struct schema_table *table;
    struct policy_errors *errors;
    bool complete; // the file could be read to its end: what is missing is missing
    // Reads the value of `key` into the struct at `base` that holds it.
    void (*read)(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base);
    void *arg; // of read
};

// Reports a mistake of a node. `hint` may be NULL.
#define SCHEMA_REPORT(r, node, hint, ...) policy_errors_add((r)->errors, (node)->line, (node)->column, (node)->width, hint, __VA_ARGS__)
// "'key' must be FORM, not …", with what stands there.
void schema_report_form(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node);
// "a list", "a map", "text".
const char *schema_kind_name(const struct policy_node *node);
// "key:" with nothing behind it, or YAML's words for it.
bool schema_is_nothing(const struct policy_node *node);
// Reports more than `max` items; true when there are not.
bool schema_check_count(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, size_t max);

// A map with the keys below `parent`, each read by r->read; unknown, doubled and missing keys are reported.
void schema_read_map(struct schema_reader *r, const struct policy_node *node, const char *parent, void *base);
// A map with the keys below `key`; or, for a SCHEMA_MAP_OR_NONE, the word that schema_set takes.
void schema_read_map_or_none(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base);
// What schema_set takes.
void schema_read_scalar(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base);
// A program and its arguments, into a struct policy_list.
void schema_read_argv(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base);
// One word or a list of min to max of them, each one line of text, into a struct policy_list.
void schema_read_words(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base, size_t min, size_t max);
// An absolute path, normalised, into a char *.
void schema_read_path(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base);
void schema_list_add(struct policy_list *list, const char *text, unsigned line);

#endif
