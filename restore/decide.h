// What becomes of one name: what stands there, what the snapshot says and the rules asked for give one action. Pure, and the only place that
// decides it: a restore does what a rehearsal (--dry-run) lists.
//
//                    nothing there   the same      other attributes   other content or type
//   never            create          exists        exists             exists
//   if-changed       create          leave         metadata           replace
//   if-newer         create          leave, unless the snapshot's time is newer: replace
//   always           create          replace       replace            replace
//
// "The same" is type, size, time to the nanosecond, mode, owner (where owners can be given), link target and device number. Where size is equal
// and the time is not, or nothing but content is proof (`doubt`), the answer is DECIDE_COMPARE: read what is there, then ask decide_compared.
// A directory on a directory is never replaced: it is entered, or gets its metadata; those on the way to the backup's sources keep theirs. A directory that
// holds something gives way to another type only with --delete.
#ifndef BKD_RESTORE_DECIDE_H
#define BKD_RESTORE_DECIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/error.h"
#include "bkd/repo/manifest.h"
#include "restore/attrs.h"
#include "restore/target.h"

enum decide_mode { DECIDE_NEVER, DECIDE_IF_CHANGED, DECIDE_IF_NEWER, DECIDE_ALWAYS };

// "never", "if-changed", "if-newer" or "always"; ERROR_USAGE lists them.
MUST_USE int decide_mode_parse(const char *text, enum decide_mode *ret_mode, struct error *err);
const char *decide_mode_name(enum decide_mode mode);

struct decide_rules {
    enum decide_mode mode;
    bool resume;     // an interrupted run of the same restore made some of what is there: finished entries are left
    bool doubt;      // size and time prove nothing (--verify; or power was lost since): content is compared
    bool own_owners; // not root: owners cannot be given, so they do not count
    bool delete;     // what is in the way may go with all it holds
    struct target_id spared; // a directory that never goes: the repository
};

// What of a directory in the way may be removed, as replace_name takes it.
static inline const struct target_id *decide_all_but(const struct decide_rules *rules) { return rules->delete ? &rules->spared : NULL; }

// Who else has the inode that stands there.
enum decide_links {
    DECIDE_LINKS_OWN,     // one name, or names that are one file in the snapshot too
    DECIDE_LINKS_OUTSIDE, // also names that are not being restored: it is not written to
    DECIDE_LINKS_MIXED,   // names that are different files in the snapshot: they must part
};

struct decide_there {
    bool exists;
    enum manifest_type type;
    uint32_t mode, uid, gid;
    uint64_t size;
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint32_t device_major, device_minor;
    bool other_target; // a symbolic link to somewhere else than the snapshot's
    bool ours;         // an interrupted run of this restore made it: it was not there before
    bool filled;       // a directory that is not empty; only looked at where something else is wanted
    enum decide_links links;
};

enum decide_action {
    DECIDE_CREATE,
    DECIDE_ENTER,    // a directory that exists and keeps its metadata
    DECIDE_LEAVE,    // nothing to do: it is the same, or newer
    DECIDE_METADATA, // the content is right, the metadata is put right
    DECIDE_REPLACE,
    DECIDE_COMPARE,  // read the content, then decide_compared
    DECIDE_EXISTS,   // left alone although it is something else: told, exit 3
    DECIDE_CONFLICT, // a directory that is not empty is in the way: told, exit 3
};

// `attrs` are those of the entry as they would be given here. *ret_why: a few words, "same size and time"; never NULL.
enum decide_action decide(const struct decide_rules *rules, const struct manifest_entry *entry, const struct attrs *attrs,
                          const struct decide_there *there, const char **ret_why);
// Mode, owner and time are as they would be given.
bool decide_metadata_equal(const struct decide_rules *rules, const struct attrs *attrs, const struct decide_there *there);
// After DECIDE_COMPARE: was the content the snapshot's?
enum decide_action decide_compared(const struct decide_rules *rules, const struct attrs *attrs, const struct decide_there *there, bool equal,
                                   const char **ret_why);
// After DECIDE_LEAVE, when what decide does not see (extended attributes, ACLs) turned out to differ.
enum decide_action decide_attributes_differ(const struct decide_rules *rules, const struct decide_there *there, const char **ret_why);

#endif
