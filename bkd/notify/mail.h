// A message as mail: RFC 5322 headers (RFC 2047 where they are not ASCII), a plain text body in quoted-printable. Pure.
// Whatever the message holds, no header but those written here appears, lines end with CRLF and have at most 78 characters (RFC 5322 section 2.1.1).
#ifndef BKD_NOTIFY_MAIL_H
#define BKD_NOTIFY_MAIL_H

#include "bkd/notify/message.h"

struct mail {
    const char *from;             // address, checked by the configuration
    const char *const *to;        // addresses
    size_t to_count;
    const struct message *message;
};

void mail_format(const struct mail *mail, struct buf *ret_text);

// "NAME: TEXT" as one header, folded, encoded when it is not ASCII.
void mail_add_header(const char *name, const char *text, struct buf *ret_text);
// Text of lines ended by LF, in quoted-printable (RFC 2045 section 6.7) with lines ended by CRLF.
void mail_add_quoted_printable(const char *text, struct buf *ret_text);
// "Wed, 25 Nov 2026 23:33:48 +0000", in English whatever the locale.
void mail_add_date(uint64_t time_ns, struct buf *ret_text);
// The host's name as a domain: letters, digits, '-' and '.'; "localhost" when nothing is left; of at most `max`
// characters (at least 10).
void mail_add_domain(const char *host, size_t max, struct buf *ret_text);

#endif
