// A batch of the ordered queue: kept lines and small entries to read, worked on by one thread.
#ifndef BKD_ENGINE_BATCH_H
#define BKD_ENGINE_BATCH_H

#include "bkd/base/profile.h"
#include "bkd/engine/select.h"
#include "bkd/engine/source_file.h"

#define BATCH_ITEMS_MAX 256u
#define BATCH_BYTES_MAX (256u << 10) // of content and lines together, before another item is taken in

struct batch_item {
    enum select_action action;
    struct scan_stat stat;
    struct scan_stat planned; // as it was scanned
    size_t line, line_len;     // in `text`
    size_t base, base_len;     // in `text`
    struct manifest_entry entry; // set by the worker unless SELECT_KEEP
    size_t data, data_len;     // in `content`
    size_t xattrs, xattrs_len; // in `content`
    uint8_t sha256[32];
    enum texture before; // of the content this one continues
    enum source_file_result result;
    char *problem; // owned; why it, or an attribute of it, could not be read
};

struct batch {
    struct batch_item *items; // BATCH_ITEMS_MAX, strings of entries are reused
    size_t count;
    struct buf text, content;
    uint64_t expected; // bytes of content to be read
};

// What a worker keeps between batches.
struct batch_worker {
    const struct io *io;
    struct dirchain chain;
    struct scan_names *names;
    uint64_t touched;   // files whose access time was changed by reading
    uint64_t small_max; // files that have grown beyond are cut there and marked unstable
};

struct batch *batch_new(void);
void batch_free(struct batch *b);
void batch_reset(struct batch *b);
bool batch_is_full(const struct batch *b);
void batch_add(struct batch *b, const struct select_item *item, uint64_t size);
// The lap is of the calling thread, in PROFILE_READ.
void batch_work(struct batch *b, struct batch_worker *worker, struct profile_lap *lap);

#endif
