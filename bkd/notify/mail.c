#include "bkd/notify/mail.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bkd/base/bytes.h"

#define LINE_MAX_BYTES 76u
#define ID_DOMAIN_MAX 28u // of a Message-ID, so that it fits on a line
#define WORD_BYTES 45u // of text in one encoded word: 60 characters of Base64 and 12 around them

// ---- headers -----------------------------------------------------------------------------------------------------------

static bool is_plain(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || (unsigned char)text[i] > '~')
            return false;
    return strstr(text, "=?") == NULL;
}

// Folds at spaces; what has none for a whole line is left to the caller to encode.
static bool add_folded(size_t column, const char *text, struct buf *ret_text)
{
    _cleanup_buf_ struct buf out = { 0 };
    for (const char *word = text; *word;) {
        size_t n = strcspn(word + 1, " ") + 1; // with the space before it
        if (column + n > LINE_MAX_BYTES && word[0] == ' ') {
            buf_add_str(&out, "\r\n");
            column = 0;
        }
        if (column + n > LINE_MAX_BYTES)
            return false;
        buf_add(&out, word, n);
        column += n;
        word += n;
    }
    buf_add(ret_text, out.data, out.len);
    return true;
}

// Words of RFC 2047, each of whole characters.
static void add_encoded(size_t column, const char *text, size_t n, struct buf *ret_text)
{
    char base64[(WORD_BYTES + 2) / 3 * 4 + 1];
    size_t room = column < 20 ? WORD_BYTES - 12 : WORD_BYTES - 27; // the first word stands behind the name
    for (size_t at = 0; at < n;) {
        size_t len = n - at < room ? n - at : room;
        while (at + len < n && len > 1 && ((unsigned char)text[at + len] & 0xc0) == 0x80)
            len--;
        if (at > 0)
            buf_add_str(ret_text, "\r\n ");
        base64_encode(base64, (const uint8_t *)text + at, len, true);
        buf_addf(ret_text, "=?UTF-8?B?%s?=", base64);
        at += len;
        room = WORD_BYTES;
    }
}

void mail_add_header(const char *name, const char *text, struct buf *ret_text)
{
    _cleanup_buf_ struct buf line = { 0 };
    size_t column = strlen(name) + 2;
    message_add_line(text, 900, &line);
    buf_addf(ret_text, "%s: ", name);
    const char *value = buf_str(&line);
    if (!is_plain(value, line.len) || value[0] == ' ' || !add_folded(column, value, ret_text))
        add_encoded(column, value, line.len, ret_text);
    buf_add_str(ret_text, "\r\n");
}

void mail_add_date(uint64_t time_ns, struct buf *ret_text)
{
    static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    time_t seconds = (time_t)(time_ns / 1000000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    buf_addf(ret_text, "%s, %d %s %d %02d:%02d:%02d +0000", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void mail_add_domain(const char *host, size_t max, struct buf *ret_text)
{
    size_t start = ret_text->len;
    for (const char *s = host; *s && ret_text->len - start < max; s++)
        if (isascii((unsigned char)*s) && (isalnum((unsigned char)*s) || *s == '-' || (*s == '.' && ret_text->len > start && ret_text->data[ret_text->len - 1] != '.')))
            buf_add_char(ret_text, *s);
    while (ret_text->len > start && ret_text->data[ret_text->len - 1] == '.')
        ret_text->data[--ret_text->len] = '\0';
    if (ret_text->len == start)
        buf_add_str(ret_text, "localhost");
}

// Messages about one alarm hang together: each refers to a name that only the alarm's number and begin make up.
static void add_ids(const struct message *m, struct buf *ret_text)
{
    _cleanup_buf_ struct buf domain = { 0 };
    mail_add_domain(m->host, ID_DOMAIN_MAX, &domain);
    buf_addf(ret_text, "Message-ID:\r\n <bkd.%lld.%llx@%s>\r\n", (long long)m->id, (unsigned long long)m->now_ns, buf_str(&domain));
    if (m->alarm != 0)
        buf_addf(ret_text, "References:\r\n <bkd.alarm.%lld.%llx@%s>\r\n", (long long)m->alarm, (unsigned long long)m->since_ns, buf_str(&domain));
}

static void add_to(const struct mail *mail, struct buf *ret_text)
{
    buf_add_str(ret_text, "To: ");
    for (size_t i = 0; i < mail->to_count; i++)
        buf_addf(ret_text, "%s%s", i == 0 ? "" : ",\r\n ", mail->to[i]);
    buf_add_str(ret_text, "\r\n");
}

// ---- body --------------------------------------------------------------------------------------------------------------

static void add_quoted(unsigned char c, bool ends_line, size_t *column, struct buf *ret_text)
{
    bool plain = (c >= '!' && c <= '~' && c != '=') || (c == ' ' && !ends_line);
    size_t width = plain ? 1 : 3;
    if (*column + width > LINE_MAX_BYTES - 1) { // the last column is the soft line break's
        buf_add_str(ret_text, "=\r\n");
        *column = 0;
    }
    buf_addf(ret_text, plain ? "%c" : "=%02X", c);
    *column += width;
}

void mail_add_quoted_printable(const char *text, struct buf *ret_text)
{
    size_t column = 0;
    for (const char *s = text; *s; s++) {
        if (*s == '\n') {
            buf_add_str(ret_text, "\r\n");
            column = 0;
        } else {
            add_quoted((unsigned char)*s, s[1] == '\n' || s[1] == '\0', &column, ret_text);
        }
    }
    if (column > 0)
        buf_add_str(ret_text, "\r\n");
}

void mail_format(const struct mail *mail, struct buf *ret_text)
{
    const struct message *m = mail->message;
    _cleanup_buf_ struct buf body = { 0 }, domain = { 0 };
    mail_add_domain(m->host, 60, &domain);
    buf_addf(ret_text, "From: \"bkd on %s\"\r\n <%s>\r\n", buf_str(&domain), mail->from);
    add_to(mail, ret_text);
    mail_add_header("Subject", m->subject, ret_text);
    buf_add_str(ret_text, "Date: ");
    mail_add_date(m->now_ns, ret_text);
    buf_add_str(ret_text, "\r\n");
    add_ids(m, ret_text);
    buf_add_str(ret_text, "Auto-Submitted: auto-generated\r\n"); // RFC 3834: nobody on holiday answers
    if (m->severity == SEVERITY_CRITICAL && m->what != MESSAGE_OVER)
        buf_add_str(ret_text, "X-Priority: 1\r\n");
    mail_add_header("X-Bkd-What", message_what_name(m->what), ret_text);
    mail_add_header("X-Bkd-Severity", severity_name(m->severity), ret_text);
    if (m->policy[0] != '\0')
        mail_add_header("X-Bkd-Policy", m->policy, ret_text);
    if (m->kind[0] != '\0')
        mail_add_header("X-Bkd-Kind", m->kind, ret_text);
    buf_add_str(ret_text, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
    message_late(m, &body);
    buf_add_str(&body, m->body);
    mail_add_quoted_printable(buf_str(&body), ret_text);
}
