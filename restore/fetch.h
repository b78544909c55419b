// Windows: the content of the next files, decoded frame by frame in the order of the stored objects.
//
// A window collects files (and pieces of large ones) with the ranges they need, cut at frame bounds; it then sorts the ranges by object
// and frame, and worker threads decode each frame once and scatter it. A file that lies in one frame is compared and written straight from
// the frame; everything else is put together in the window's arena, into which frames that are needed for nothing else are decoded at once. Memory:
// the arena, the ranges, and a few frames per worker.
//
// fetch_new → (fetch_room → fetch_add …) → fetch_start → fetch_finish → results in `files` → fetch_reset → again.
// Small pieces are compared together with others of their frame, large ones two at a time (compare_each): the first that is whole waits for a second, of whichever window; fetch_finish lets none wait longer.
//
// Windows take turns (restore/windows.h), so that the workers never wait for the planner. They are small, so that a frame the planner has looked into, or
// that ends one window and begins the next, is still in the reader's cache. All functions belong to the planner's thread.
#ifndef BKD_RESTORE_FETCH_H
#define BKD_RESTORE_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/work.h"
#include "restore/apply.h"

#define FETCH_BYTES_MAX RECIPE_PIECE_SIZE // of content in a window
#define FETCH_FILES_MAX 4096u
#define FETCH_USES_MAX 65536u

struct fetch;

// Where a large piece waits for a second one; all windows of a restore share it.
struct fetch_pairing;
struct fetch_pairing *fetch_pairing_new(void);
void fetch_pairing_free(struct fetch_pairing *p); // after the windows

// `apply` and `pairing` borrowed; apply's last worker number (n_workers - 1) is the planner's own.
MUST_USE int fetch_new(struct apply *apply, struct fetch_pairing *pairing, struct fetch **ret_fetch, struct error *err);
void fetch_free(struct fetch *w); // idle; frees files not taken

// Is there room for one more file or piece of so many bytes?
bool fetch_room(const struct fetch *w, uint32_t length);

// A piece of a file: `length` bytes at `offset` of it, from ranges whose lengths add up to `length`. keep: the data must outlive its own writing.
// Damage found here (a range no object has) is the file's result.
void fetch_add_piece(struct fetch *w, struct apply_file *f, uint32_t index, uint64_t offset, uint32_t length, const uint8_t sha256[32],
                     const struct place *ranges, size_t n_ranges, bool keep);
// A file without content.
void fetch_add_empty(struct fetch *w, struct apply_file *f);
// The file's last piece was added: it belongs to the window now, and is done when the window is.
void fetch_own(struct fetch *w, struct apply_file *f);

void fetch_start(struct fetch *w, struct work_pool *pool);
bool fetch_is_started(const struct fetch *w);
// Waits for the window's tasks and pieces; windows are finished in the order they were started.
void fetch_finish(struct fetch *w, struct work_pool *pool);
// Files that are done, in the order they were added; borrowed until fetch_reset frees them.
struct apply_file *const *fetch_files(const struct fetch *w, size_t *ret_n);
// Content in it, in bytes.
uint64_t fetch_bytes(const struct fetch *w);
void fetch_reset(struct fetch *w);

#endif
