// Handing a message to a server: mail by SMTP, a body by HTTP POST. The only module that includes curl's header.
//
// With TLS required, nothing is sent before the server's certificate was found good. Time is bounded as a whole. Errors name the server and what it said,
// never an address's path, a header or a password.
#ifndef BKD_NOTIFY_TRANSFER_H
#define BKD_NOTIFY_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"

struct transfer_security {
    bool plain;     // without TLS
    const char *ca; // PEM file; NULL = the system's authorities
};

struct transfer_mail {
    const char *server; // "HOST", "HOST:PORT", "smtp://…" or "smtps://…"
    const char *domain; // who we are (EHLO)
    const char *user, *password; // NULL = without login
    const char *from;
    const char *const *to;
    size_t to_count;
    const void *text; // the mail, lines ended by CRLF
    size_t text_bytes;
    struct transfer_security security;
    uint64_t timeout_ms;
};
// The server has taken it, for at least one of the recipients (*ret_refused: for how many not). ERROR_UNREACHABLE: no connection, no answer in time;
// ERROR_KEY: its certificate, or our password, is not good; ERROR_FAILED: it refused.
MUST_USE int transfer_mail(const struct transfer_mail *mail, size_t *ret_refused, struct error *err);

struct transfer_post {
    const char *url;
    const char *type;            // of the body
    const char *const *headers;  // "Name: value"; may be NULL. With any, redirections are not followed: they could carry a secret elsewhere
    size_t header_count;
    const void *body;
    size_t body_bytes;
    struct transfer_security security;
    uint64_t timeout_ms;
};
// The server answered with 2xx. Fails as transfer_mail does.
MUST_USE int transfer_post(const struct transfer_post *post, struct error *err);

#define TRANSFER_BODY_MAX (1u << 20)
// Asks for an address; whatever the server answers is success, with its status and the first TRANSFER_BODY_MAX bytes (appended to *ret_body). Redirections are
// not followed.
MUST_USE int transfer_get(const char *url, uint64_t timeout_ms, struct buf *ret_body, unsigned *ret_status, struct error *err);

#endif
