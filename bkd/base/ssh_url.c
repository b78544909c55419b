#include "bkd/base/ssh_url.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/base/bytes.h"

static const char scheme[] = "sftp://";

bool ssh_url_is(const char *url) { return strncmp(url, scheme, sizeof scheme - 1) == 0; }

void ssh_url_done(struct ssh_url *u)
{
    free(u->user);
    free(u->host);
    free(u->path);
    *u = (struct ssh_url){ 0 };
}

static int wrong(const char *url, const char *what, struct error *err)
{
    return error_set(err, ERROR_USAGE, "'%s': %s; the form is sftp://USER@HOST:PORT/PATH", url, what);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Takes %XX apart; NULL when that is broken or gives a NUL.
static char *decode(const char *text, size_t n)
{
    _cleanup_buf_ struct buf out = { 0 };
    for (size_t i = 0; i < n; i++) {
        if (text[i] != '%') {
            buf_add_char(&out, text[i]);
            continue;
        }
        int high = i + 2 < n ? hex_digit(text[i + 1]) : -1, low = i + 2 < n ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0)
            return NULL;
        buf_add_char(&out, (char)(high << 4 | low));
        i += 2;
    }
    return out.len == 0 ? xstrdup("") : buf_take_str(&out);
}

static int parse_port(const char *url, const char *text, size_t n, unsigned *ret_port, struct error *err)
{
    uint64_t port;
    if (!parse_u64(text, n, 65535, &port) || port == 0)
        return wrong(url, "the port is no number from 1 to 65535", err);
    *ret_port = (unsigned)port;
    return 0;
}

// "HOST", "HOST:PORT" or "[ADDRESS]:PORT".
static int parse_host(const char *url, const char *text, size_t n, struct ssh_url *u, struct error *err)
{
    const char *rest;
    if (n > 0 && text[0] == '[') {
        const char *close = memchr(text, ']', n);
        if (close == NULL)
            return wrong(url, "the bracket of the address is not closed", err);
        u->host = xstrndup(text + 1, (size_t)(close - text - 1));
        rest = close + 1;
    } else {
        const char *colon = memchr(text, ':', n);
        u->host = xstrndup(text, colon == NULL ? n : (size_t)(colon - text));
        rest = colon == NULL ? text + n : colon;
    }
    // A host that begins with "-" could be taken for an option by a program that is given it.
    if (u->host[0] == '\0' || u->host[0] == '-' || strpbrk(u->host, " \t\n/@%") != NULL)
        return wrong(url, "there is no host's name in it", err);
    if (rest == text + n)
        return 0;
    return *rest == ':' ? parse_port(url, rest + 1, (size_t)(text + n - rest - 1), &u->port, err) : wrong(url, "something follows the address", err);
}

static int parse_path(const char *url, const char *text, struct ssh_url *u, struct error *err)
{
    bool home = strncmp(text, "/~/", 3) == 0;
    const char *from = home ? text + 3 : text;
    size_t n = strlen(from);
    while (n > 1 && from[n - 1] == '/')
        n--;
    u->path = decode(from, n);
    if (u->path == NULL)
        return wrong(url, "its path has a '%' without two hex digits", err);
    return u->path[0] == '\0' ? wrong(url, "there is no path in it", err) : 0;
}

static int parse(const char *url, struct ssh_url *u, struct error *err)
{
    if (!ssh_url_is(url))
        return wrong(url, "this is no sftp address", err);
    const char *rest = url + sizeof scheme - 1;
    size_t n = strcspn(rest, "/");
    const char *at = memrchr(rest, '@', n);
    const char *host = at == NULL ? rest : at + 1;
    if (at != NULL) {
        if (memchr(rest, ':', (size_t)(at - rest)) != NULL)
            return wrong(url, "a password has no place in it: use a key", err);
        u->user = decode(rest, (size_t)(at - rest));
        if (u->user == NULL || u->user[0] == '\0' || u->user[0] == '-')
            return wrong(url, "there is no user before the '@'", err);
    }
    int r = parse_host(url, host, n - (size_t)(host - rest), u, err);
    if (r == 0 && rest[n] == '\0')
        r = wrong(url, "there is no path in it", err);
    return r < 0 ? r : parse_path(url, rest + n, u, err);
}

int ssh_url_parse(const char *url, struct ssh_url *ret_url, struct error *err)
{
    struct ssh_url u = { 0 };
    int r = parse(url, &u, err);
    if (r < 0)
        ssh_url_done(&u);
    else
        *ret_url = u;
    return r;
}
