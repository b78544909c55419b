// Running programs on another host by the system's ssh(1), which is never asked for anything and believes pinned host keys only.
#ifndef BKD_DR_REMOTE_H
#define BKD_DR_REMOTE_H

#include "bkd/base/env.h"
#include "bkd/base/proc.h"

#define REMOTE_WORDS_MAX 32

struct remote {
    const char *address;                // HOST, USER@HOST, ssh://USER@HOST:PORT
    const char *identity, *known_hosts; // files; NULL = as ssh finds them
    char options[2][1100];              // of remote_words
};

// `ssh … ADDRESS`, to be followed by one word: a command for the shell there. Ends with NULL. The words are valid as long as *remote is.
void remote_words(struct remote *remote, const char *ret_words[REMOTE_WORDS_MAX]);
// What ssh needs of our environment.
void remote_env(struct env *ret_env);

// Runs a command of the shell there. input: descriptor it reads from; 0 = nothing. ERROR_UNREACHABLE: ssh could not get there; ERROR_FAILED: it did not end with 0; each with the last line
// that was said. ret_line, where it is not NULL, gets the last line of the output.
MUST_USE int remote_run(const struct io *io, struct remote *remote, const char *command, int input, uint64_t timeout_ms, bool (*stop)(void *arg), struct buf *ret_line,
                        struct error *err);
// Copies a file there.
MUST_USE int remote_send(const struct io *io, struct remote *remote, const char *file, const char *path, bool executable, bool (*stop)(void *arg), struct error *err);

#endif
