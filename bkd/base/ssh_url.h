// Addresses of repositories on SSH servers: sftp://[USER@]HOST[:PORT]/PATH. Pure.
// PATH is absolute; "/~/PATH" is relative to the account's home. USER and PATH may hold %XX (RFC 3986). HOST is a name, an IPv4 address, or an
// IPv6 address in brackets.
#ifndef BKD_BASE_SSH_URL_H
#define BKD_BASE_SSH_URL_H

#include <stdbool.h>

#include "bkd/base/error.h"

struct ssh_url {
    char *user; // NULL when not given
    char *host; // without brackets
    unsigned port; // 0 when not given
    char *path; // absolute, or relative to the home; no slash at the end but in "/"
};

bool ssh_url_is(const char *url); // begins with sftp://
// ERROR_USAGE says what is wrong and shows the form.
MUST_USE int ssh_url_parse(const char *url, struct ssh_url *ret_url, struct error *err);
void ssh_url_done(struct ssh_url *u);
#define _cleanup_ssh_url_ __attribute__((cleanup(ssh_url_done)))

#endif
