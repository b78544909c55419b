// The system's log: journald with fields where it runs, else syslog(3). The only module that includes sd-journal's header.
#include "bkd/notify/notifier.h"

#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>

#include "bkd/base/clock.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define SYSLOG_SOCKET "/dev/log"
#define FIELDS_MAX 20

static int facility_of(const struct config_channel *channel)
{
    static const int facilities[] = { LOG_DAEMON, LOG_USER, LOG_LOCAL0, LOG_LOCAL1, LOG_LOCAL2, LOG_LOCAL3, LOG_LOCAL4, LOG_LOCAL5, LOG_LOCAL6, LOG_LOCAL7 };
    return facilities[channel->facility];
}

static int priority_of(const struct message *m)
{
    if (m->what == MESSAGE_OVER)
        return LOG_NOTICE;
    return m->severity == SEVERITY_CRITICAL ? LOG_CRIT : m->severity == SEVERITY_WARNING ? LOG_WARNING : LOG_INFO;
}

static bool exists(const struct io *io, const char *path)
{
    struct statx st;
    struct error ignored;
    return io_stat(io, AT_FDCWD, path, 0, &st, &ignored) == 0;
}

// Fields "NAME=value" of one entry; the values may hold anything.
struct entry {
    struct buf fields[FIELDS_MAX];
    size_t count;
};

static void entry_done(struct entry *e)
{
    for (size_t i = 0; i < e->count; i++)
        buf_done(&e->fields[i]);
}

static void entry_add(struct entry *e, const char *name, const char *value)
{
    if (value[0] != '\0')
        buf_addf(&e->fields[e->count++], "%s=%s", name, value);
}

static void entry_add_number(struct entry *e, const char *name, int64_t value)
{
    if (value != 0)
        buf_addf(&e->fields[e->count++], "%s=%lld", name, (long long)value);
}

static void fill_entry(struct entry *e, const struct config_channel *channel, const struct message *m, const char *line)
{
    char time[CLOCK_TEXT_MAX];
    clock_format_utc(time, m->time_ns, false);
    entry_add(e, "MESSAGE", line);
    buf_addf(&e->fields[e->count++], "PRIORITY=%d", priority_of(m));
    buf_addf(&e->fields[e->count++], "SYSLOG_FACILITY=%d", facility_of(channel) >> 3);
    entry_add(e, "SYSLOG_IDENTIFIER", "bkd");
    entry_add(e, "BKD_WHAT", message_what_name(m->what));
    entry_add(e, "BKD_SEVERITY", severity_name(m->severity));
    entry_add(e, "BKD_KIND", m->kind);
    entry_add(e, "BKD_POLICY", m->policy);
    entry_add(e, "BKD_COPY", m->copy);
    entry_add(e, "BKD_TEXT", m->text);
    entry_add(e, "BKD_NEXT_STEP", m->next_step);
    entry_add(e, "BKD_TIME", m->time_ns != 0 ? time : "");
    entry_add_number(e, "BKD_ALARM", m->alarm);
    entry_add_number(e, "BKD_RUN", m->run);
}

static int to_journal(const struct config_channel *channel, const struct message *m, const char *line, struct error *err)
{
    __attribute__((cleanup(entry_done))) struct entry entry = { 0 };
    struct iovec parts[FIELDS_MAX];
    fill_entry(&entry, channel, m, line);
    for (size_t i = 0; i < entry.count; i++)
        parts[i] = (struct iovec){ entry.fields[i].data, entry.fields[i].len };
    int r = sd_journal_sendv(parts, (int)entry.count);
    return r < 0 ? error_set_errno(err, -r, "write to the journal") : 0;
}

static int send_log(const struct notifier_context *ctx, const struct config_channel *channel, const struct message *message, struct buf *ret_note, struct error *err)
{
    _cleanup_buf_ struct buf line = { 0 };
    (void)ret_note;
    message_add_line(message->subject, 400, &line);
    if (message->next_step[0] != '\0' && message->what != MESSAGE_OVER) {
        buf_add_str(&line, "; what to do: ");
        message_add_line(message->next_step, 1000, &line);
    }
    if (exists(ctx->io, JOURNAL_SOCKET))
        return to_journal(channel, message, buf_str(&line), err);
    if (!exists(ctx->io, SYSLOG_SOCKET))
        return error_set(err, ERROR_UNREACHABLE, "neither journald (" JOURNAL_SOCKET ") nor a syslog daemon (" SYSLOG_SOCKET ") runs here");
    openlog("bkd", LOG_PID, facility_of(channel));
    syslog(facility_of(channel) | priority_of(message), "%s", buf_str(&line));
    closelog();
    return 0;
}

static bool is_log(const struct config_channel *channel)
{
    (void)channel;
    return true;
}

const struct notifier notifier_syslog = { .send = send_log, .is_log = is_log };
