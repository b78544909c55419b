// The table of everything a policy file may say. Parser, `policy check`, `policy show`, error texts and the key list of
// bkd-policy(5) are made from it. A key that a later version brings is not in the table before it works.
#ifndef BKD_POLICY_SCHEMA_H
#define BKD_POLICY_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/policy/policy.h"

enum schema_type {
    SCHEMA_TEXT,        // one line of text
    SCHEMA_PROSE,       // text of several lines; line ends at its end do not count
    SCHEMA_BOOL,        // true or false
    SCHEMA_NUMBER,      // whole number from min to max
    SCHEMA_SIZE,        // "512MiB" from min to max; the word in `choices` stands for 0
    SCHEMA_BLOCK_SIZE,  // SCHEMA_SIZE that is a power of two
    SCHEMA_PERCENT,     // "50%" from min to max; the word in `choices` stands for 0
    SCHEMA_DURATION,    // "10min" from min to max seconds; the word in `choices`, when there is one, stands for 0
    SCHEMA_CHOICE,      // one of `choices`, stored as its index
    SCHEMA_BANDWIDTH,   // a rate, or a table of times of day and rates (bkd/base/bandwidth.h): kept as text
    SCHEMA_ZONE,        // a time zone of the zone database, or the word host: kept as text
    SCHEMA_TIME_OF_DAY, // "06:00" as minute of the day, or the word none, which is POLICY_NO_MINUTE
    SCHEMA_SCHEDULE,    // one calendar expression or a list of them (calendar.h): struct policy_list
    SCHEMA_POLICIES,    // the name of a policy or a list of them: struct policy_list
    SCHEMA_PATH,        // absolute path
    SCHEMA_PATHS,       // list of absolute paths
    SCHEMA_URL,         // absolute path of a directory, or an sftp:// address
    SCHEMA_STORE,       // the same, or a map with the keys "NAME.": struct policy_store
    SCHEMA_STORES,      // list of such places: struct policy_stores
    SCHEMA_PATTERNS,    // list of exclusion patterns (bkd/base/pattern.h)
    SCHEMA_NAMES,       // list of file names
    SCHEMA_ENV,         // list of "NAME=value"
    SCHEMA_ARGV,        // list of a program and its arguments
    SCHEMA_CHECKS,      // list of maps with the keys "verify.checks.": struct policy_check
    SCHEMA_COMMANDS,    // such a list, or a map with the keys "hooks.HOOK.", or a list of these: struct policy_commands
    SCHEMA_RECIPIENTS,  // one file or a list of files and age recipients
    SCHEMA_SOURCES,     // list of paths or of maps with keys "NAME."
    SCHEMA_MAP,         // map with the keys "NAME."
    SCHEMA_MAP_OR_NONE, // the same, or the word none (or the one in `choices`): bool. The default, where it has one, may be written as well
    SCHEMA_WORDS,       // one word or a list of them: struct policy_list
    SCHEMA_MAPS,        // list of maps with the keys "NAME."
};

// Which struct a key's value stands in.
enum schema_owner { SCHEMA_OF_POLICY, SCHEMA_OF_SOURCE, SCHEMA_OF_STORE, SCHEMA_OF_COMMAND, SCHEMA_OF_CHECK };

struct schema_key {
    const char *name; // "delta.max_chain"; parents come before their children
    enum schema_type type;
    size_t offset; // of the value in the struct of schema_owner; uint64_t, bool, char *, struct policy_list or struct policy_commands
    uint64_t min, max;
    const char *default_text; // as it would be written; NULL = none; a required key has none
    bool required;
    const char *choices; // "inode mtime"; of sizes and shares the word for 0, such as "auto"; of maps the word for none
    const char *form;    // what a value looks like: errors say "must be FORM"
    const char *help;    // for the man page, man(7) source
};

// A table of keys: that of policies, or that of the host's configuration (config_schema.h).
struct schema_table {
    const struct schema_key *keys;
    size_t count;
};
const struct schema_key *schema_table_find(const struct schema_table *t, const char *parent, const char *name);
const struct schema_key *schema_table_nearest(const struct schema_table *t, const char *parent, const char *typed);

// The following are about the table of policies.
const struct schema_table *schema_of_policies(void);
const struct schema_key *schema_keys(size_t *ret_count);
// The key `name` directly below `parent` ("" = top level), or NULL.
const struct schema_key *schema_find(const char *parent, const char *name);
size_t schema_index(const struct schema_key *key);
enum schema_owner schema_owner(const struct schema_key *key);
// The last part of a key's name, and whether it stands directly below `parent`.
const char *schema_leaf(const struct schema_key *key);
bool schema_is_below(const struct schema_key *key, const char *parent);
// Is the word among those in `words`, which blanks part?
bool schema_has_word(const char *words, const char *word);
// The valid key nearest to `typed` below `parent`, or of all keys when none there is near; NULL when nothing is.
const struct schema_key *schema_nearest(const char *parent, const char *typed);

// Stores the value written as `text` at `base` + offset: BOOL, NUMBER, SIZE, BLOCK_SIZE, PERCENT, DURATION, CHOICE, TEXT, BANDWIDTH, ZONE,
// TIME_OF_DAY, and the words of MAP_OR_NONE. ERROR_USAGE when
// it is not of the key's form.
MUST_USE int schema_set(const struct schema_key *key, const char *text, void *base, struct error *err);
// The inverse, as text for a policy file (no quotes); the same types.
void schema_get(const struct schema_key *key, const void *base, struct buf *ret_text);
// All keys of a table as man(7) source.
void schema_man(const struct schema_table *t, struct buf *ret_text);

#endif
