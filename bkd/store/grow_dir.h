// A directory that can only grow: names below it can be read, listed and added, never changed, replaced or removed. What a client at the other end of
// a line may do, and nothing else, is decided here.
//
// A file is written under a name with ".part-" in it, or ".part" at its end, and gets its final name by grow_dir_publish; from then on nobody can write
// it. Whoever has a part open for writing holds a shared lock on it, and publishing takes the lock alone: so no writer is left, in whatever process, when
// a file is published, and one that opened the part before but not yet locked it finds that its name has gone. Links are never followed (openat2 with
// RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS), and only directories and regular files are seen.
//
// Paths are as SFTP has them: "/" is the directory itself, "a/b" and "/a/b" are the same, ".." is refused. An absolute path that leads to the directory,
// or goes through it, as the machine's own files have it, means the same place: with /srv/bkd as the directory, /srv/bkd/a is "a". So an address stays as
// it is when an account is confined. All functions return 0 or a negative errno: EPERM for what is not allowed here.
#ifndef BKD_STORE_GROW_DIR_H
#define BKD_STORE_GROW_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/io.h"

#define GROW_DIR_PART ".part-"
#define GROW_DIR_PATH_MAX 4096u

struct grow_dir {
    const struct io *io;
    int fd;     // of the directory; owned
    char *path; // absolute, without links; owned
};

// The directory must exist.
int grow_dir_open(struct grow_dir *d, const struct io *io, const char *path);
void grow_dir_close(struct grow_dir *d);

// The name as it is meant, without what can be left out, "." for the directory itself: the same for all paths that mean the same. NULL: no path of ours.
// Caller frees.
char *grow_dir_name(const struct grow_dir *d, const char *path);

// Is this a name a client may write under?
bool grow_dir_is_part(const char *path);

int grow_dir_read(const struct grow_dir *d, const char *path, int *ret_fd);
// Makes a new part (EEXIST when the name is taken), or opens one that is there; both hold the shared lock as long as the descriptor is open.
int grow_dir_create(const struct grow_dir *d, const char *path, int *ret_fd);
int grow_dir_write(const struct grow_dir *d, const char *path, int *ret_fd);
// Gives a part its final name. EBUSY: somebody has it open for writing; EEXIST: the name is taken.
int grow_dir_publish(const struct grow_dir *d, const char *part, const char *path);
int grow_dir_mkdir(const struct grow_dir *d, const char *path);
// *ret_mode: type and permissions; size and mtime of files.
struct statx;
int grow_dir_stat(const struct grow_dir *d, const char *path, struct statx *ret_st);
// A directory's descriptor, for listing.
int grow_dir_list(const struct grow_dir *d, const char *path, int *ret_fd);
// Takes back a part that was not published: the far side's own cleaning up, not a client's.
int grow_dir_drop_part(const struct grow_dir *d, const char *path);

#endif
