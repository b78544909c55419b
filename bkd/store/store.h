// The object store contract: what bkd needs of a place that keeps files. It asks for nothing an S3-like store lacks:
// put is whole or nothing and never overwrites, list, ranged get. Names are relative paths with '/' of the layout in doc/FORMAT.md.
// After a put returned 0 the file is complete and durable (or the store says it cannot promise that).
// Implementations are safe to use from several threads at once for get; put_spool may run beside whatever else is asked, and beside
// itself where the store is far; put and list belong to one thread.
#ifndef BKD_STORE_STORE_H
#define BKD_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/bandwidth.h"
#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/base/io.h"

struct store;

// size is UINT64_MAX where the listing does not tell. name is relative to the store's root.
typedef int store_visit_fn(void *arg, const char *name, uint64_t size, struct error *err);

// What became of one of many names.
struct store_found {
    int result;              // 0, or the error code of this name
    const struct error *why; // when result is not 0
    uint64_t size;
    const void *data;        // the whole file, when contents were asked for; belongs to the call
};

struct store_many {
    const char *const *names;
    size_t n;
    size_t max; // bytes a file may have (more: ERROR_FORMAT for it); 0 = only sizes are asked for
    // Called once for each name, in any order, from the calling thread. It asks nothing of the store. Non-zero ends the whole with that value.
    int (*visit)(void *arg, size_t index, const struct store_found *found, struct error *err);
    void *arg;
};

// A part of a file, one of several that are read together.
struct store_part {
    const char *name;
    uint64_t offset;
    size_t n;
    void *data; // n bytes
    bool read;  // it was
};

// One of several files that are put together.
struct store_put {
    const char *name;
    const void *data;
    size_t n;
    bool last;  // gets its name only when all before it have theirs
    int result; // 0, or ERROR_EXISTS
};

struct store_ops {
    // Creates `name` with these bytes. ERROR_EXISTS when the name is taken (its bytes are left alone).
    int (*put)(struct store *s, const char *name, const void *data, size_t n, struct error *err);
    // Creates `name` from a finished spool file made by spool_open. Whatever happens, fd is closed and the spool file is gone afterwards. ERROR_EXISTS: likewise.
    int (*put_spool)(struct store *s, const char *name, int fd, const char *spool_name, struct error *err);
    // Creates `name` from the first `size` bytes of an open file, which are compared with their SHA-256 on the way: other ones are ERROR_INTEGRITY, and
    // nothing gets the name. NULL: whoever has a file copies it to a spool file. May be called from several threads.
    int (*put_file)(struct store *s, const char *name, int fd, uint64_t size, const uint8_t sha256[32], struct error *err);
    // Small files, for the round trips of one. ERROR_EXISTS is told file by file; at any other failure the rest gets no name. NULL: store_put_many.
    int (*put_many)(struct store *s, struct store_put *files, size_t n, struct error *err);
    // Opens a file for reading where the store's files are files of this machine; NULL: they are not. The caller closes it.
    int (*open_file)(struct store *s, const char *name, int *ret_fd, struct error *err);
    // Opens a new spool file this store can take over cheaply (a directory store: its own tmp/). *ret_name is for put_spool / spool_drop; caller frees.
    int (*spool_open)(struct store *s, int *ret_fd, char **ret_name, struct error *err);
    void (*spool_drop)(struct store *s, const char *spool_name);
    // Reads exactly n bytes at offset: less is ERROR_INTEGRITY. ERROR_NOT_FOUND when missing.
    int (*get)(struct store *s, const char *name, uint64_t offset, void *data, size_t n, struct error *err);
    int (*size)(struct store *s, const char *name, uint64_t *ret_size, struct error *err);
    // All names below a directory name ("heads/…"), any order; "" is everything. A missing directory is empty. Skips tmp/ and *.part-*.
    int (*list)(struct store *s, const char *dir, store_visit_fn *visit, void *arg, struct error *err);
    int (*remove)(struct store *s, const char *name, struct error *err);
    // Whole small files, or sizes, of many names in a few round trips. NULL: one after the other will do (store_get_many).
    int (*get_many)(struct store *s, const struct store_many *many, struct error *err);
    // Parts of many files in a few round trips, for somebody who will need them. One that cannot be had whole is left for a get, which says why. NULL: a get
    // costs nothing here.
    int (*get_parts)(struct store *s, struct store_part *parts, size_t n, struct error *err);
    // Drops what was read ahead of a file, so that its bytes are asked for anew. NULL: nothing is.
    void (*forget)(struct store *s, const char *name);
    // Has the place itself hash a file, where it can: *ret_offered says whether. NULL: it cannot (store_hash). `size` says how long that may take.
    int (*hash)(struct store *s, const char *name, uint64_t size, uint8_t ret_sha256[32], bool *ret_offered, struct error *err);
    // When the file got there, by the place's own clock (nanoseconds since 1970). NULL: it does not tell.
    int (*modified)(struct store *s, const char *name, uint64_t *ret_time_ns, struct error *err);
    // Room there is on the place's disk. NULL: it cannot be asked (store_space).
    int (*space)(struct store *s, uint64_t *ret_free, uint64_t *ret_total, struct error *err);
    void (*close)(struct store *s);
};

struct store {
    const struct store_ops *ops;
    char *url; // as given, for messages
    bool far;  // reading costs round trips: what is not needed is not read
};

// How a store on another machine is got at. Strings are copied.
struct store_access {
    const char *identity;        // SSH private key file; NULL = the agent's keys
    const char *passphrase_file; // first line is the key's passphrase, or "credential:NAME" of systemd; NULL = it has none
    const char *const *passphrase_command; // instead: program and arguments, ends with NULL, whose first line of output it is
    const char *known_hosts;     // pinned host keys; NULL = ERROR_KEY for a store that needs them
    const char *ssh_config;      // file of ssh_config(5) that explains the host; "true" = ssh's own; NULL = none
    bool ssh_program;            // connect by the system's ssh (store/ssh_program.h) instead of libssh2
    unsigned timeout_s;          // without a byte from the server; 0 = a minute
    unsigned connections;        // at the same time, at most; 0 = four
    struct bandwidth bandwidth;  // of what is sent
    bool far_sha256sum;          // commands may be run there, to hash files where the SFTP server does not
};

// The first line of a file that others cannot read, or of "credential:NAME". ERROR_KEY. Caller wipes and frees.
MUST_USE int store_read_passphrase(const struct io *io, const char *name, char **ret_passphrase, struct error *err);
// The passphrase that a `passphrase_command` gives. ERROR_KEY: it does not. Caller wipes and frees.
MUST_USE int store_ask_passphrase(const struct io *io, const char *const *argv, char **ret_passphrase, struct error *err);

// Opens a repository location: a directory (or file:// URL), or sftp://USER@HOST:PORT/PATH. create: makes the directory (0700) when missing; without it a
// missing one is ERROR_NOT_FOUND naming the path. Other URL schemes: ERROR_USAGE saying which are known. access may be NULL for a directory.
MUST_USE int store_open(const struct io *io, const char *url, const struct store_access *access, bool create, struct store **ret_store, struct error *err);
void store_close(struct store *s); // NULL is fine

// ERROR_FAILED where the place does not tell.
MUST_USE int store_space(struct store *s, uint64_t *ret_free, uint64_t *ret_total, struct error *err);

void store_forget(struct store *s, const char *name);
MUST_USE int store_hash(struct store *s, const char *name, uint64_t size, uint8_t ret_sha256[32], bool *ret_offered, struct error *err);

// Whole small file, at most max bytes (more: ERROR_FORMAT); appended to ret_data.
MUST_USE int store_get_all(struct store *s, const char *name, size_t max, struct buf *ret_data, struct error *err);

// Small files together; see struct store_ops.
MUST_USE int store_put_many(struct store *s, struct store_put *files, size_t n, struct error *err);

// Many at once; see struct store_many. ERROR_UNREACHABLE ends the whole.
MUST_USE int store_get_many(struct store *s, const struct store_many *many, struct error *err);

// ERROR_FAILED for a name that is not relative, or has empty, "." or ".." components: what every implementation refuses.
MUST_USE int store_check_name(const struct store *s, const char *name, struct error *err);

// Implementations.
MUST_USE int store_dir_open(const struct io *io, const char *path, bool create, struct store **ret_store, struct error *err);
// On a server, below `root` (absolute, or relative to the account's home). `connect` makes a connection whenever one is needed, from any thread;
// connect_arg belongs to the store from here on, also when this fails, and is given to `done` (may be NULL).
struct sftp_client;
struct sftp_pace;
struct stream;
struct store_connector {
    int (*connect)(void *arg, struct sftp_client **ret_client, struct error *err);
    // Runs a command there; NULL where that is not wanted.
    int (*run)(void *arg, const char *command, struct stream **ret_stream, struct error *err);
    void (*done)(void *arg);
    void *arg;
    const struct sftp_pace *pace; // of what is sent; belongs to arg; NULL = none
    unsigned lanes;       // connections at the same time, at most; 0 = SFTP_STORE_LANES_USUAL
    unsigned back_off_ms; // before a broken line is tried a second time; doubled each time. 0 = half a second
};
MUST_USE int store_sftp_open(const struct io *io, const char *url, const char *root, bool create, const struct store_connector *connector,
                             struct store **ret_store, struct error *err);
// Everything in memory, for tests.
struct store *store_memory_new(void);

#endif
