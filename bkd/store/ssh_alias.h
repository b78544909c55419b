// What ssh_config(5) says of a host: `ssh -G` reads the files, so that every rule and Include of them holds. And the way through other hosts, as a child
// `ssh -W`: that ssh checks the hosts in between by its own known_hosts, without questions; the host itself shows its key to us, through the tunnel.
#ifndef BKD_STORE_SSH_ALIAS_H
#define BKD_STORE_SSH_ALIAS_H

#include <sys/types.h>

#include "bkd/base/error.h"
#include "bkd/base/io.h"

struct ssh_alias {
    char *host, *user;
    unsigned port;
    char *identity; // the first IdentityFile that exists; NULL = none does
    char *jump;     // ProxyJump; NULL = none
    char *command;  // ProxyCommand; NULL = none
};

// The file that ssh is to read for a config ("true", or a file): NULL = its own choice. ssh looks for ~ where the account says it is; where HOME says
// otherwise, that is meant. Caller frees.
char *ssh_alias_file(const char *config);

// config: a file, or "true" for ssh's own. port 0 and user NULL: not said in the address. ERROR_NOT_FOUND: there is no ssh program; ERROR_USAGE: what it
// says of the configuration.
MUST_USE int ssh_alias_resolve(const struct io *io, const char *config, const char *host, unsigned port, const char *user, struct ssh_alias *ret_alias,
                               struct error *err);
void ssh_alias_done(struct ssh_alias *a);

// Starts the child when there is a jump or a command: *ret_fd is a non-blocking socket to the host, *ret_pid the child, which ends when the socket is
// closed. Nothing to do: *ret_fd is -1.
MUST_USE int ssh_alias_start(const struct ssh_alias *a, const char *config, int *ret_fd, pid_t *ret_pid, struct error *err);

#endif
