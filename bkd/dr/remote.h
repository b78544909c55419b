// Running programs on another host by the system's ssh(1), which is never asked for anything and believes pinned host keys only.
#ifndef BKD_DR_REMOTE_H
#define BKD_DR_REMOTE_H

#include <stdbool.h>

#include "bkd/base/env.h"

#define REMOTE_WORDS_MAX 32
#define REMOTE_FAILED 255 // exit status of ssh(1) when it failed itself

struct remote {
    const char *address;                // HOST, USER@HOST, ssh://USER@HOST:PORT
    const char *identity, *known_hosts; // files; NULL = as ssh finds them
    bool forwards_agent;                // what runs there may use the keys of our SSH agent
    char options[2][1100];              // of remote_words
};

// `ssh … ADDRESS`, to be followed by one word: a command for the shell there. Ends with NULL. The words are valid as long as *remote is.
void remote_words(struct remote *remote, const char *ret_words[REMOTE_WORDS_MAX]);
// What ssh needs of our environment.
void remote_env(struct env *ret_env);

#endif
