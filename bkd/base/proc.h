// Running other programs: a list of arguments, never a shell; an environment, a directory and descriptors that are all stated; an end that always comes.
//
// The program leads a session of its own (no terminal, no signals of ours) and inherits three descriptors only, and no capabilities of a process that is not
// root's, unless told so. Its standard output and error are read while it runs: the last bytes of each are kept, the rest is counted, so a flood costs no
// memory. When the time is up, or the caller says to stop, its whole process group gets SIGTERM and, after a grace, SIGKILL; so it does when this process dies.
// When it ends, what it left running in its group is killed too; a process that made a session of its own (a daemon it started) is left alone.
//
// Usual order: proc_run; or proc_start; proc_read until 0 …; proc_wait; proc_free. A struct proc belongs to one thread at a time.
#ifndef BKD_BASE_PROC_H
#define BKD_BASE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/base/io.h"

#define PROC_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" // where a name without a slash is looked for
#define PROC_KEEP_BYTES (64u << 10)
#define PROC_GRACE_MS 10000
#define PROC_LINGER_MS 2000 // how long others may hold the output open after the program ended
#define PROC_LINE_MAX 4096  // longer lines reach the callback in pieces
#define PROC_TEXT_MAX 160

enum proc_stream { PROC_OUTPUT, PROC_ERROR };

struct proc_options {
    const char *const *argv; // ends with NULL; argv[0] is an absolute path, or a name to find in PROC_PATH
    const char *const *env;  // "NAME=value", ends with NULL: all the program gets
    const char *directory;   // to start in; NULL = "/"
    const char *user;        // run as this user with its groups (root may); NULL = as this process
    int stdin_fd;            // borrowed; 0 = /dev/null
    int userns_fd;           // borrowed: enter this user namespace (bkd/base/userns.h); 0 = stay
    bool keep_rights;        // inherit ambient capabilities, as within such a namespace; not with user
    bool gives_way;          // to everything else on this host: less processor and disk, no core files, and the first to go when memory runs out
    uint64_t timeout_ms;     // 0 = none
    uint64_t grace_ms;       // from SIGTERM to SIGKILL; 0 = PROC_GRACE_MS
    size_t keep_bytes;       // of each stream; 0 = PROC_KEEP_BYTES
    bool merge;              // standard error goes where standard output goes, in the order it was written
    bool read_output;        // the caller takes standard output with proc_read; none of it is kept
    // Each line as it comes, without its LF, NUL-terminated, any bytes (NULL = not wanted).
    void (*line)(void *arg, enum proc_stream stream, const char *line, size_t n);
    bool (*stop)(void *arg); // asked several times a second: end the program now? NULL = never
    void *arg;
};

enum proc_end {
    PROC_EXITED,      // by itself; code = exit status
    PROC_KILLED,      // by a signal that was not ours; code = its number
    PROC_TIMED_OUT,   // longer than timeout_ms, ended by us
    PROC_INTERRUPTED, // options.stop said so, ended by us
};

struct proc_kept {
    struct buf tail;      // the last keep_bytes at most
    uint64_t total_bytes; // all that was written
};

struct proc_result {
    enum proc_end end;
    int code;
    bool left_open; // others held an output open for PROC_LINGER_MS after the program ended: it may lack its end
    bool output_left_open; // and it was standard output
    struct proc_kept output, error;
    uint64_t duration_ns;
};

struct proc;

// Starts the program. ERROR_NOT_FOUND when there is no such program or directory, ERROR_FAILED when it may not be executed, or not as that user; each names it.
// argv, env, directory and user are not needed any more afterwards.
MUST_USE int proc_start(const struct io *io, const struct proc_options *options, struct proc **ret_proc, struct error *err);
// With read_output: waits for output and gives up to n bytes of it; *ret_n 0 at its end, whatever ended it (proc_wait tells).
MUST_USE int proc_read(struct proc *p, void *data, size_t n, size_t *ret_n, struct error *err);
// Waits for the end. Output not taken by proc_read is closed: a program that still writes gets SIGPIPE. Owner frees with proc_result_done.
void proc_wait(struct proc *p, struct proc_result *ret_result);
// Ends the program at once if it still runs. NULL is fine.
void proc_free(struct proc *p);
void free_procp(struct proc **p);
#define _cleanup_proc_ __attribute__((cleanup(free_procp)))

// All in one. A program that ran is success here, however it ended.
MUST_USE int proc_run(const struct io *io, const struct proc_options *options, struct proc_result *ret_result, struct error *err);

void proc_result_done(struct proc_result *r);
#define _cleanup_proc_result_ __attribute__((cleanup(proc_result_done)))
// Did it exit with 0?
bool proc_result_ok(const struct proc_result *r);
// "exited with status 3", "was killed by signal 9 (Killed)", "was stopped after its timeout (10.0 s)" …: goes after the program's name.
void proc_result_text(const struct proc_result *r, char ret_text[PROC_TEXT_MAX]);
// The last line that says something of what a program said, without blanks around it: *ret_n bytes, 0 when it said nothing. Belongs to `tail`.
const char *proc_last_line(const struct buf *tail, size_t *ret_n);

#endif
