// Files that a program needs on another host while it runs there, sent by the ssh session that runs it, and gone when that session is.
//
// A shell there makes a directory for them, what is secret in memory (tmpfs) where it can, takes the files from its standard input, runs the program, and removes
// the directory when the program has ended. The standard input then stays open as a lifeline: when it ends, because bkd was killed, or ssh, or the line broke, the
// shell there removes the files at once and ends the program. So keys never stay behind.
//
// Usual order: parcel_init; parcel_add_file, parcel_add_bytes …; parcel_add_shell for the command; parcel_send just before ssh is started; parcel_done after its end.
#ifndef BKD_DR_PARCEL_H
#define BKD_DR_PARCEL_H

#include <pthread.h>
#include <stdatomic.h>

#include "bkd/base/buf.h"
#include "bkd/base/io.h"

#define PARCEL_ITEMS_MAX 8
#define PARCEL_SECRETS "keys/" // before the names of files that are kept in memory there, where it can be done
#define PARCEL_FAILED 125      // exit status of the shell there: the files did not arrive, and the program was not run

struct parcel_item {
    const char *name; // in the directory there
    int fd;           // owned
    uint64_t size;
};

struct parcel {
    const struct io *io;
    char *directory; // there: a name that nobody guesses; owned
    struct parcel_item items[PARCEL_ITEMS_MAX];
    size_t n;
    // While it is sent:
    int ends[2]; // of the line to ssh: what ssh reads, what we write; -1 before
    pthread_t thread;
    bool is_sending;
    atomic_bool is_over;
};

void parcel_init(const struct io *io, struct parcel *ret_parcel);
void parcel_done(struct parcel *p);

// A file of this host; the name must stay valid. Its size is that of now.
MUST_USE int parcel_add_file(struct parcel *p, const char *name, const char *path, struct error *err);
// Bytes. The caller's may be wiped afterwards.
MUST_USE int parcel_add_bytes(struct parcel *p, const char *name, const void *data, size_t n, struct error *err);
// The path of a file there. Caller frees.
char *parcel_path(const struct parcel *p, const char *name);

// Appends what stands before the program and its arguments in the command for the shell there: `sh -c … `.
void parcel_add_shell(const struct parcel *p, struct buf *out);
// Begins to send; *ret_fd is what ssh is to read, and stays the parcel's.
MUST_USE int parcel_send(struct parcel *p, int *ret_fd, struct error *err);

#endif
