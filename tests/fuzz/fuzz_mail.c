// A mail is made of any text: names of policies, messages of servers. Whatever is in it, the mail has the headers it should have and no other, its lines are
// short and ASCII, and the subject and the body come back as they were.
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/notify/mail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINE_MAX_BYTES 78u

// Lines of at most 78 printable ASCII characters, each with its CRLF.
static void check_lines(const struct buf *mail)
{
    const char *at = buf_str(mail), *end = at + mail->len;
    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        assert(lf != NULL && lf > at && lf[-1] == '\r');
        assert((size_t)(lf - 1 - at) <= LINE_MAX_BYTES);
        for (const char *s = at; s < lf - 1; s++)
            assert(*s >= ' ' && *s <= '~');
        at = lf + 1;
    }
}

// Names of the headers, in order.
static void add_names(const struct buf *mail, struct buf *ret_names)
{
    const char *at = buf_str(mail);
    while (strncmp(at, "\r\n", 2) != 0) {
        if (*at != ' ')
            buf_addf(ret_names, "%.*s ", (int)strcspn(at, ":"), at);
        at = strchr(at, '\n') + 1;
    }
}

// The value of a header, unfolded, its encoded words decoded (RFC 2047: space between two of them is none).
static void add_value(const struct buf *mail, const char *name, struct buf *ret_text)
{
    const char *at = strstr(buf_str(mail), name) + strlen(name);
    bool after_word = false;
    while (*at && !(at[0] == '\r' && at[2] != ' ')) {
        uint8_t bytes[100];
        size_t n = 0;
        if (at[0] == '\r') {
            at += after_word ? 3 : 2;
        } else if (strncmp(at, "=?UTF-8?B?", 10) == 0) {
            size_t len = strcspn(at + 10, "?");
            assert(base64_decode(at + 10, len, true, bytes, sizeof bytes, &n));
            buf_add(ret_text, bytes, n);
            at += 10 + len + 2;
            after_word = true;
        } else {
            buf_add_char(ret_text, *at++);
        }
    }
}

static int hex(char c) { return c <= '9' ? c - '0' : c - 'A' + 10; }

// Quoted-printable back to text of lines ended by LF.
static void add_body(const struct buf *mail, struct buf *ret_text)
{
    for (const char *s = strstr(buf_str(mail), "\r\n\r\n") + 4; *s;) {
        if (strncmp(s, "=\r\n", 3) == 0) {
            s += 3;
        } else if (*s == '=') {
            buf_add_char(ret_text, (char)(hex(s[1]) * 16 + hex(s[2])));
            s += 3;
        } else if (*s == '\r') {
            buf_add_char(ret_text, '\n');
            s += 2;
        } else {
            buf_add_char(ret_text, *s++);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const to[] = { "a@example.net", "b@example.net" };
    _cleanup_free_ char *text = xstrndup((const char *)data, strnlen((const char *)data, size));
    _cleanup_buf_ struct buf subject = { 0 }, body = { 0 }, mail = { 0 }, names = { 0 }, line = { 0 }, value = { 0 }, back = { 0 };
    struct message m = { .what = MESSAGE_OPENED, .severity = SEVERITY_CRITICAL, .host = text, .kind = "k", .policy = text, .copy = text, .text = text, .next_step = text,
                         .run_uid = "", .id = 7, .alarm = 3, .since_ns = 1, .time_ns = 5, .made_ns = 5, .now_ns = 2000000000000 };
    message_subject(&m, &subject);
    message_body(&m, &body);
    m.subject = buf_str(&subject);
    m.body = buf_str(&body);
    mail_format(&(struct mail){ .from = "bkd@example.net", .to = to, .to_count = 2, .message = &m }, &mail);
    check_lines(&mail);
    add_names(&mail, &names);
    const char *wanted = text[0] ? "From To Subject Date Message-ID References Auto-Submitted X-Priority X-Bkd-What X-Bkd-Severity X-Bkd-Policy X-Bkd-Kind MIME-Version "
                                   "Content-Type Content-Transfer-Encoding " :
                                   "From To Subject Date Message-ID References Auto-Submitted X-Priority X-Bkd-What X-Bkd-Severity X-Bkd-Kind MIME-Version "
                                   "Content-Type Content-Transfer-Encoding ";
    assert(strcmp(buf_str(&names), wanted) == 0);
    message_add_line(m.subject, 900, &line);
    add_value(&mail, "\r\nSubject: ", &value);
    assert(strcmp(buf_str(&value), buf_str(&line)) == 0);
    add_body(&mail, &back);
    const char *late = strstr(buf_str(&back), "\n\n");
    assert(strncmp(buf_str(&back), "This message is ", 16) == 0 && late != NULL && strcmp(late + 2, m.body) == 0);
    return 0;
}
