// Policy files: what to back up, to where and how. A policy is CONFIG_DIR/policies/NAME.yaml; the keys are described once, in
// schema.c. Loading checks everything and reports every mistake with line and column, not only the first.
#ifndef BKD_POLICY_POLICY_H
#define BKD_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/io.h"
#include "bkd/base/pattern.h"
#include "bkd/policy/policy_errors.h"

#define POLICY_FILE_MAX (4u << 20) // bytes
#define POLICY_LINE_MAX 4096u      // bytes
#define POLICY_NAME_MAX 64u        // bytes
#define POLICY_KEYS_MAX 256u       // keys in the table of schema.c
#define POLICY_SOURCES_MAX 1024u
#define POLICY_PATTERNS_MAX 1024u // in one list
#define POLICY_MARKERS_MAX 16u    // names in one `exclude_if_present`
#define POLICY_RECIPIENTS_MAX 64u
#define POLICY_COPIES_MAX 16u
#define POLICY_ARGUMENTS_MAX 256u // of one command, and variables of its environment
#define POLICY_COMMANDS_MAX 64u   // in one hook
#define POLICY_CHECKS_MAX 64u
#define POLICY_SCHEDULES_MAX 64u  // expressions in one `schedule`
#define POLICY_AFTER_MAX 64u
#define POLICY_TIERS 9u
#define POLICY_NO_MINUTE 1440u // for a minute of the day: none

enum policy_compare {
    POLICY_COMPARE_INODE, // unchanged = same type, size, mtime, ctime and inode
    POLICY_COMPARE_MTIME, // for file systems with unstable inodes: same type, size and mtime
};

// How a server is reached: by libssh2, or by the system's ssh program.
enum policy_transport { POLICY_TRANSPORT_BUILTIN, POLICY_TRANSPORT_SSH };
// How a place on a server is proved to keep what was sent, where it does not hash files itself. As enum proof_reading.
enum policy_verify { POLICY_VERIFY_FULL, POLICY_VERIFY_SAMPLE, POLICY_VERIFY_NONE };

struct policy_list {
    char **items;    // NULL behind the last; NULL itself when there is none
    unsigned *lines; // where each stands in the file; 0 = it is a default
    size_t count;
};
void policy_list_done(struct policy_list *list);

struct policy_command {
    struct policy_list argv;
    char *name; // "" when not given
    uint64_t timeout_s;
};

struct policy_commands {
    struct policy_command *items;
    size_t count;
};

enum policy_snapshot_type { POLICY_SNAPSHOT_LVM, POLICY_SNAPSHOT_BTRFS, POLICY_SNAPSHOT_ZFS, POLICY_SNAPSHOT_COMMAND };

// How a source is frozen while it is read.
struct policy_snapshot {
    bool wanted;
    uint64_t type;                      // enum policy_snapshot_type
    uint64_t size_bytes;                // lvm; 0 = auto
    char *place;                        // btrfs; NULL = the default
    struct policy_list create, release; // command
    char *path;                         // command; NULL = create says it
    uint64_t timeout_s;
};

// A source that is a command: what it writes becomes the file stream/NAME.
struct policy_stream {
    char *name; // a file name
    struct policy_list command, env; // env: "NAME=value"
    char *user; // "" = as bkd itself
    uint64_t timeout_s;
};

struct policy_source {
    char *path;                 // absolute, without "//", "." or "..", no trailing slash (but "/" itself)
    struct policy_list exclude;            // patterns, valid for pattern_set_new; they come after the policy's
    struct policy_list exclude_if_present; // this and what follows holds instead of the policy's where the source says it (key_lines)
    uint64_t exclude_larger_than_bytes;
    bool exclude_nodump;
    struct policy_snapshot snapshot;
    struct policy_stream stream; // then nothing else is set
    unsigned key_lines[POLICY_KEYS_MAX]; // where this source says each key "sources.…"; 0 = not at all
};

enum policy_catch_up { POLICY_CATCH_UP_ONCE, POLICY_CATCH_UP_NONE };
enum policy_window_end { POLICY_WINDOW_FINISH, POLICY_WINDOW_WARN, POLICY_WINDOW_STOP };
enum policy_after_failure { POLICY_AFTER_FAILURE_RUN, POLICY_AFTER_FAILURE_SKIP };

// When a policy's runs may take place: from their slot on for a time, or until a time of day.
struct policy_window {
    uint64_t length_s;     // 0 = no limit
    uint64_t until_minute; // of the day, in the policy's time zone; POLICY_NO_MINUTE = no limit
    uint64_t at_end;       // enum policy_window_end: what becomes of a run that is still going on then
};

// What happens when a run failed.
struct policy_retry {
    uint64_t times;               // how often it is tried again
    uint64_t delay_s, max_delay_s; // before the first time; doubled each time up to
};

enum policy_check_type { POLICY_CHECK_COMMAND, POLICY_CHECK_FILE, POLICY_CHECK_SQLITE, POLICY_CHECK_POSTGRES, POLICY_CHECK_HTTP, POLICY_CHECK_MTREE };

// What must work after a restore. Paths are relative to the restored tree; what does not belong to the type is "", 0 or empty.
struct policy_check {
    uint64_t type; // enum policy_check_type
    char *name;    // "" when not given
    uint64_t timeout_s;
    char *user;             // who runs its programs; "" = as bkd itself
    struct policy_list run; // command, http: the program and its arguments
    char *file;             // file, sqlite; mtree: of the specification, absolute
    char *sha256;           // file: 64 hex digits
    uint64_t min_size_bytes, max_size_bytes; // file
    char *pattern;          // file: extended regular expression that a line matches; http: that is in the answer
    char *query, *expect;   // sqlite, postgres
    char *directory, *dump, *database; // postgres
    char *url;              // http
    uint64_t status;        // http
};

enum policy_verify_mode { POLICY_VERIFY_MODE_FULL, POLICY_VERIFY_MODE_SAMPLE };

// How it is proven that what is stored can be restored.
struct policy_verification {
    struct policy_list schedule; // as the policy's
    char *from;              // "auto", "repository", "offsite", or the address of a copy
    uint64_t mode;           // enum policy_verify_mode
    uint64_t sample_files;   // drawn at random
    char *identity;          // file, relative to CONFIG_DIR/keys
    char *scratch;           // directory; "" = /var/tmp
    uint64_t timeout_s;      // that the restore may take
    struct policy_list canaries; // paths that every sample has
    struct policy_check *checks;
    size_t check_count;
};

// What is promised about a policy.
struct policy_objectives {
    uint64_t rpo_s; // how old the newest good snapshot may be; 0 = nothing is promised
    uint64_t rto_s; // how long a restore may take; 0 = nothing is promised
    uint64_t tier;  // 1 comes first, POLICY_TIERS last
};

// Which snapshots retention keeps (bkd/engine/keep.h says how); all 0: nothing is configured.
struct policy_keep {
    uint64_t last, hourly, daily, weekly, monthly, quarterly, yearly;
    uint64_t within_s;
    bool all; // of copies: every one, whatever the policy's own rule says
};
bool policy_keep_is_set(const struct policy_keep *keep);

// Where copies are kept, and the keys that open the way there. Files are relative to CONFIG_DIR/keys.
struct policy_store {
    char *url;             // absolute path of a directory, normalised like a source; or sftp://…
    char *ssh_identity;    // file of a private key; "agent" = the keys of the SSH agent
    char *ssh_known_hosts; // file of pinned host keys
    char *ssh_passphrase;  // file whose first line is the private key's passphrase, or credential:NAME; "" = it has none
    struct policy_list ssh_passphrase_command; // whose first line of output it is
    char *ssh_config;      // "true" = ~/.ssh/config; a file; "" = not asked
    uint64_t ssh_transport; // enum policy_transport
    uint64_t ssh_timeout_s;
    uint64_t ssh_connections; // at the same time, at most
    char *bandwidth;       // as bandwidth_parse takes it
    uint64_t verify;       // enum policy_verify
    // Of copies only:
    bool removable;        // a directory on a disk that is there only sometimes
    uint64_t max_age_s;    // what the newest snapshot there may be old; 0 = policy_copy_max_age_s says it
    struct policy_keep keep; // not set: the policy's
};

struct policy_stores {
    struct policy_store *items;
    size_t count;
};
bool policy_store_is_remote(const struct policy_store *store);

// All strings belong to the policy.
struct policy {
    char *name;        // file name without .yaml
    char *file;        // as it was opened
    char *description; // "" when not given
    struct policy_source *sources; // those with a path
    size_t source_count;
    struct policy_source *streams; // those with a stream, in the order of their names
    size_t stream_count;
    struct policy_store repository;
    struct policy_stores offsite;
    bool encrypted;
    struct policy_list recipients; // each an age recipient (policy_is_recipient) or a file, relative to CONFIG_DIR/keys
    bool allow_single_recipient;
    uint64_t compression_level;
    uint64_t delta_min_size_bytes;   // 0 = auto
    uint64_t delta_block_size_bytes; // 0 = auto
    uint64_t delta_max_chain;        // versions that recovery by hand may have to follow
    uint64_t delta_max_share_percent;
    uint64_t compare; // enum policy_compare
    bool one_filesystem;
    // What to leave out of each source.
    struct policy_list exclude;            // patterns, relative to each source
    struct policy_list exclude_if_present; // names of files that mark a directory
    uint64_t exclude_larger_than_bytes;    // 0 = no limit
    bool exclude_nodump;
    bool guard; // against mass changes; percents 0 = auto
    uint64_t guard_gone_percent, guard_changed_percent, guard_incompressible_percent, guard_min_files;
    struct policy_commands hooks_before, hooks_after, hooks_on_failure;
    struct policy_list schedule; // calendar expressions (calendar.h); none = only when asked for
    char *timezone;              // IANA name; "host" = the host's
    struct policy_window window;
    uint64_t jitter_s;
    struct policy_retry retry;
    uint64_t catch_up;        // enum policy_catch_up
    struct policy_list after; // names of policies
    uint64_t after_failure;   // enum policy_after_failure
    struct policy_objectives objectives;
    struct policy_keep keep;
    bool renewal; // storing anew what lies in mostly dead objects
    uint64_t renewal_min_live_percent, renewal_budget_percent, renewal_budget_bytes; // bytes 0: the share
    uint64_t grace_s; // between a snapshot being given up and its data being removed
    struct policy_verification verify;
    unsigned *key_lines; // POLICY_KEYS_MAX of them: where each key of the schema was set; 0 = its default
};

// Reads and checks a policy file. ERROR_USAGE when it has mistakes, which *ret_errors then lists (ret_policy is left alone);
// other codes when it cannot be read. Call policy_errors_done in every case, policy_done after success.
MUST_USE int policy_load(const struct io *io, const char *path, struct policy *ret_policy, struct policy_errors *ret_errors, struct error *err);
// The same for bytes in memory; `path` gives name and messages.
MUST_USE int policy_parse(const char *path, const void *text, size_t n, struct policy *ret_policy, struct policy_errors *ret_errors, struct error *err);
// How old the newest snapshot at a copy may be: what the copy says, else what the policy promises for each place but removable disks, else a week.
uint64_t policy_copy_max_age_s(const struct policy *policy, const struct policy_store *copy);
void policy_done(struct policy *policy);
#define _cleanup_policy_ __attribute__((cleanup(policy_done)))
// Leaves what says when runs begin, in which order, and what is promised and kept (name, file, schedules, timezone, window, jitter_s, retry, catch_up, after,
// objectives, keep). All that a run needs is freed and empty: for whoever starts runs, and knows thousands of policies.
void policy_forget_work(struct policy *policy);

// When an action ("backup", "verify") begins by itself, as calendar expressions; an empty list for all others.
const struct policy_list *policy_times(const struct policy *policy, const char *action);

// Has it no sources? Then it backs up nothing, and verifies what another host stores in its repository.
bool policy_only_verifies(const struct policy *policy);
// Does it name programs to run, for whoever could write the file?
bool policy_names_commands(const struct policy *policy);

// The patterns that hold in a source, in their order: the policy's, then its own. Free with pattern_set_free.
MUST_USE int policy_source_patterns(const struct policy *policy, const struct policy_source *source, struct pattern_set **ret_set, struct error *err);

// The line on which the source itself says `key` ("exclude_nodump"); 0 when it does not.
unsigned policy_source_line(const struct policy_source *source, const char *key);

// An absolute path as a policy holds it: without doubled and trailing slashes and "." components; NULL when there is a ".." component. Caller frees.
char *policy_normalise(const char *path);

// Letters, digits, "-", "_" and "." (not first), at most POLICY_NAME_MAX bytes.
bool policy_is_name(const char *name, size_t n);
// Is this item of `recipients` an age recipient ("age1…") rather than a file name?
bool policy_is_recipient(const char *item);

#endif
