// A source that is a command: what it writes to its standard output becomes the content of the file `stream/NAME`. Only a command that exits
// with 0 gives a file; whatever else happens fails the run, so that no snapshot holds half a dump.
//
// Usual order: stream_entry (before the scan); stream_start; stream_read until it gives 0; stream_end; stream_free.
#ifndef BKD_ENGINE_STREAM_H
#define BKD_ENGINE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/io.h"
#include "bkd/repo/manifest.h"

#define STREAM_ROOT "stream/" // what the paths of streams begin with
#define STREAM_LINES_MAX 1000 // of what a command says on its standard error, passed on
// A stream's first version is taken to become this large, for the blocks moved data is searched by (16 KiB); later ones go by the one before.
#define STREAM_SIZE_GUESS (UINT64_C(8) << 30)

struct stream_source {
    const char *name;           // a file name, unique among the sources
    const char *const *command; // argv, ends with NULL
    const char *const *env;     // "NAME=value", ends with NULL; all the command gets
    const char *user;           // whose rights the command has; NULL = ours
    uint64_t timeout_ms;        // 0 = none
};

// A line the command wrote to its standard error, without LF, any bytes.
typedef void stream_said_fn(void *arg, const char *name, const char *line);

// What a command has to do with those who wait for it.
struct stream_watch {
    stream_said_fn *said;      // NULL = not wanted
    void *arg;                 // of said
    bool (*interrupted)(void); // end the command now? NULL = never
};

struct stream;

// The file's entry, without content: mode 0600, owned by who runs us, modified at `time_ns`. The caller calls manifest_entry_done.
void stream_entry(const struct stream_source *source, uint64_t time_ns, struct manifest_entry *ret_entry);
// The source of an entry's path, or NULL.
const struct stream_source *stream_find(const struct stream_source *sources, size_t n, const char *path);

// Starts the command. The error names the stream.
MUST_USE int stream_start(const struct io *io, const struct stream_source *source, const struct stream_watch *watch, struct stream **ret_stream,
                          struct error *err);
// Reads n bytes; *ret_n is less only at the end.
MUST_USE int stream_read(struct stream *s, void *data, size_t n, size_t *ret_n, struct error *err);
// Waits for the command. ERROR_FAILED unless all it wrote was read and it exited with 0: how it ended, and what it said last.
MUST_USE int stream_end(struct stream *s, struct error *err);
// Ends the command if it still runs, with all it started. NULL is fine.
void stream_free(struct stream *s);
void free_streamp(struct stream **s);
#define _cleanup_stream_ __attribute__((cleanup(free_streamp)))

#endif
