// Deciding what a run has to read: the scan's stream merged with the previous stream, both in path order.
//
// Unchanged = same type, size, mtime, ctime and inode, and not racily clean. Regular files that are new are joined by inode with those that
// are gone: same inode, size, mtime and ctime means moved, taken over without reading; another ctime means probably moved: read, with the old content as base.
// The result is a plan: a scratch file in path order, one record an entry, and the joined moves beside it. Memory is constant.
#ifndef BKD_ENGINE_SELECT_H
#define BKD_ENGINE_SELECT_H

#include "bkd/engine/previous.h"
#include "bkd/engine/scan.h"

// What is to be done with stored content of an unchanged entry.
enum select_verdict {
    SELECT_RELY,       // it stays as it is stored
    SELECT_DOUBT,      // it cannot be relied on: read the file again
    SELECT_STORE_ANEW, // it is good, and is to be stored once more
};
typedef enum select_verdict select_keep_fn(void *arg, const struct manifest_entry *old);

struct select_options {
    struct scan_options scan;
    const struct manifest_entry *streams; // without content, in path order: behind all that is scanned
    size_t n_streams;
    select_keep_fn *keep;
    void *keep_arg;
    bool (*interrupted)(void); // may be NULL
    bool compare_inode; // false: size and mtime decide (file systems with unstable inodes)
};

enum select_action {
    SELECT_KEEP = 'k',  // `line` is complete
    SELECT_ATTRS = 'a', // no content to read, but extended attributes may have changed
    SELECT_READ = 'r',  // content and attributes are to be read
    SELECT_RENEW = 'n',  // has not changed; content and attributes are to be read and stored anew
    SELECT_STREAM = 's', // content is what a command will write
};

// One plan record, borrowed until the next call.
struct select_item {
    enum select_action action;
    struct scan_stat stat;
    uint64_t blocks_bytes;
    const char *line; // this entry's manifest line without LF; content keys only when action is SELECT_KEEP
    size_t line_len;
    const char *base; // line of the entry whose content this one probably continues; base_len 0 = none
    size_t base_len;
};

struct select_counts {
    uint64_t entries, files;
    uint64_t bytes;       // logical bytes of regular files
    uint64_t read_files;  // to be read
    uint64_t read_bytes;
    uint64_t renew_files, renew_bytes; // of these: unchanged, to be stored anew
    uint64_t streams; // counted nowhere else
    uint64_t stream_bytes; // as large as they were before
    uint64_t gone_files;
    // Of what the snapshot before held below today's sources: what the policy no longer names is not lost.
    uint64_t held_files, held_bytes;
    uint64_t lost_files; // gone, and no new name has their inode
    uint64_t lost_loose; // of these: what was compressible
    uint64_t moved_files; // taken over without reading
    uint64_t problems;
    uint64_t excluded[EXCLUDE_REASONS]; // entries left out and directories cut off; what lies below them is not looked at
    uint64_t *source_entries; // one count a source, without parents; owned
    uint64_t *previous_source_entries;
    uint64_t *source_excluded; // left out of each source by the policy's rules, mounts not counted
};

static inline bool select_reads(enum select_action action) { return action == SELECT_READ || action == SELECT_RENEW; }

struct select_plan;

MUST_USE int select_run(const struct io *io, const struct select_options *options, struct previous *previous, scan_problem_fn *problem, void *problem_arg,
                        struct select_plan **ret_plan, struct error *err);
void select_free(struct select_plan *plan);
void free_select_planp(struct select_plan **plan);
#define _cleanup_select_plan_ __attribute__((cleanup(free_select_planp)))
const struct select_counts *select_counts(const struct select_plan *plan);
// Items in path order; NULL in *ret_item at the end.
MUST_USE int select_next(struct select_plan *plan, const struct select_item **ret_item, struct error *err);

#endif
