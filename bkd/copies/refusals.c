#include "bkd/copies/refusals.h"

#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "bkd/base/buf.h"
#include "bkd/base/log.h"
#include "bkd/base/printable.h"

#define PATH_SHOWN_MAX 300u // bytes of a path in a line

void refusals_begin(struct refusals *r, const struct io *io, const char *place)
{
    const char *connection = getenv("SSH_CONNECTION"); // "CLIENT PORT SERVER PORT"
    size_t n = connection == NULL ? 0 : strcspn(connection, " ");
    _cleanup_free_ char *client = n == 0 ? xstrdup("this machine") : xstrndup(connection, n);
    *r = (struct refusals){ .io = io, .who = xasprintf("client %s, root '%s'", client, place), .window_start = io_monotonic_ns(io) };
    openlog("bkd-serve", LOG_PID, LOG_AUTH);
}

static void tell(const char *line)
{
    struct buf safe = { 0 };
    printable_add(&safe, line, strlen(line));
    syslog(LOG_WARNING, "%s", buf_str(&safe));
    log_warn("%s", line); // escapes by itself
    buf_done(&safe);
}

static void tell_untold(struct refusals *r)
{
    if (r->untold == 0)
        return;
    _cleanup_free_ char *line = xasprintf("refused %llu more requests (%s)", (unsigned long long)r->untold, r->who);
    tell(line);
    r->untold = 0;
}

void refusals_note(void *arg, const char *request, const char *path)
{
    struct refusals *r = arg;
    uint64_t now = io_monotonic_ns(r->io);
    if (now - r->window_start > REFUSALS_WINDOW_NS) {
        tell_untold(r);
        r->window_start = now;
        r->told = 0;
    }
    r->total++;
    if (r->told == REFUSALS_BURST) {
        r->untold++;
        return;
    }
    r->told++;
    _cleanup_free_ char *line = xasprintf("refused: %s '%.*s' (%s)", request, (int)PATH_SHOWN_MAX, path, r->who);
    tell(line);
}

void refusals_end(struct refusals *r)
{
    tell_untold(r);
    free(r->who);
    closelog();
}
