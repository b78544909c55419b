#include "bkd/notify/message.h"

#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/printable.h"

#define SUBJECT_TEXT_MAX 110u // bytes of the sentence in a subject

static const char *const what_names[MESSAGE_WHATS] = {
    [MESSAGE_OPENED] = "opened", [MESSAGE_CHANGED] = "changed", [MESSAGE_REMINDER] = "reminder", [MESSAGE_ESCALATED] = "escalated", [MESSAGE_OVER] = "over",
    [MESSAGE_HAPPENED] = "happened", [MESSAGE_DIGEST] = "digest", [MESSAGE_SUMMARY] = "summary", [MESSAGE_TEST] = "test",
};

const char *message_what_name(enum message_what what) { return what_names[what]; }

bool message_what_parse(const char *name, enum message_what *ret_what)
{
    for (int i = 0; i < MESSAGE_WHATS; i++) {
        if (strcmp(what_names[i], name) == 0) {
            *ret_what = (enum message_what)i;
            return true;
        }
    }
    return false;
}

void message_add_line(const char *text, size_t max, struct buf *ret_text)
{
    _cleanup_buf_ struct buf line = { 0 };
    size_t n = strlen(text), len;
    for (size_t at = 0; at < n; at += len) {
        bool safe;
        len = printable_next(text + at, n - at, &safe);
        bool is_utf8 = len > 1 || (unsigned char)text[at] < 0x80;
        if (safe)
            buf_add(&line, text + at, len);
        else
            buf_add_str(&line, is_utf8 ? " " : "\xef\xbf\xbd");
    }
    if (line.len <= max) {
        buf_add(ret_text, line.data, line.len);
        return;
    }
    size_t cut = max - 3;
    while (cut > 0 && (line.data[cut] & 0xc0) == 0x80) // whole characters
        cut--;
    buf_add(ret_text, line.data, cut);
    buf_add_str(ret_text, "...");
}

// ---- subject -----------------------------------------------------------------------------------------------------------

static const char *severity_word(enum severity severity)
{
    static const char *const words[SEVERITIES] = { [SEVERITY_INFO] = "INFO", [SEVERITY_WARNING] = "WARNING", [SEVERITY_CRITICAL] = "CRITICAL" };
    return words[severity];
}

static void add_state(const struct message *m, struct buf *ret_text)
{
    switch (m->what) {
    case MESSAGE_OVER: buf_add_str(ret_text, "WELL AGAIN"); break;
    case MESSAGE_REMINDER: buf_addf(ret_text, "STILL %s", severity_word(m->severity)); break;
    case MESSAGE_ESCALATED: buf_addf(ret_text, "ESCALATED %s", severity_word(m->severity)); break;
    case MESSAGE_CHANGED: buf_addf(ret_text, "NOW %s", severity_word(m->severity)); break;
    case MESSAGE_TEST: buf_add_str(ret_text, "TEST"); break;
    default: buf_add_str(ret_text, severity_word(m->severity));
    }
}

void message_subject(const struct message *m, struct buf *ret_text)
{
    buf_add_str(ret_text, "[bkd ");
    message_add_line(m->host, 64, ret_text);
    buf_add_str(ret_text, "] ");
    add_state(m, ret_text);
    if (m->policy[0] != '\0') {
        buf_add_char(ret_text, ' ');
        message_add_line(m->policy, 64, ret_text);
    }
    buf_add_str(ret_text, ": ");
    message_add_line(m->text, SUBJECT_TEXT_MAX, ret_text);
}

// ---- body --------------------------------------------------------------------------------------------------------------

static void add_fact(const char *name, const char *value, struct buf *ret_text)
{
    if (value[0] == '\0')
        return;
    buf_addf(ret_text, "%-9s ", name);
    message_add_line(value, 2000, ret_text);
    buf_add_char(ret_text, '\n');
}

static void add_time(const char *name, uint64_t time_ns, struct buf *ret_text)
{
    char text[CLOCK_TEXT_MAX];
    clock_format_utc(text, time_ns, false);
    add_fact(name, time_ns == 0 ? "" : text, ret_text);
}

static void add_duration(const struct message *m, struct buf *ret_text)
{
    char text[CLOCK_TEXT_MAX];
    if (m->since_ns == 0 || m->time_ns <= m->since_ns)
        return;
    clock_format_duration(text, m->time_ns - m->since_ns);
    add_fact(m->what == MESSAGE_OVER ? "Lasted:" : "For:", text, ret_text);
}

static void add_number(const char *name, int64_t number, const char *command, struct buf *ret_text)
{
    if (number != 0)
        buf_addf(ret_text, "%-9s %lld (bkd %s %lld)\n", name, (long long)number, command, (long long)number);
}

void message_body(const struct message *m, struct buf *ret_text)
{
    bool stands = m->since_ns != 0 && m->what != MESSAGE_OVER;
    if (m->what == MESSAGE_OVER)
        buf_add_str(ret_text, "It is well again.\n");
    message_add_line(m->text, 4000, ret_text);
    buf_add_char(ret_text, '\n');
    if (m->repeated > 0)
        buf_addf(ret_text, "(%llu more like this since the last message about it)\n", (unsigned long long)m->repeated);
    if (m->next_step[0] != '\0' && m->what != MESSAGE_OVER) {
        buf_add_str(ret_text, "\nWhat to do: ");
        message_add_line(m->next_step, 4000, ret_text);
        buf_add_char(ret_text, '\n');
    }
    buf_add_char(ret_text, '\n');
    add_fact("Host:", m->host, ret_text);
    add_fact("Policy:", m->policy, ret_text);
    add_fact("Copy:", m->copy, ret_text);
    add_fact("Severity:", severity_name(m->severity), ret_text);
    add_fact("Kind:", m->kind, ret_text);
    add_time("Since:", m->since_ns, ret_text);
    add_time("Time:", m->time_ns, ret_text);
    add_duration(m, ret_text);
    if (stands)
        add_number("Alarm:", m->alarm, "alarm ack", ret_text);
    add_number("Run:", m->run, "runs show", ret_text);
}

static bool is_late(const struct message *m) { return m->made_ns != 0 && m->now_ns >= m->made_ns + MESSAGE_LATE_NS; }

void message_late(const struct message *m, struct buf *ret_text)
{
    char late[CLOCK_TEXT_MAX], time[CLOCK_TEXT_MAX];
    if (!is_late(m))
        return;
    clock_format_duration(late, m->now_ns - m->made_ns);
    clock_format_utc(time, m->made_ns, false);
    buf_addf(ret_text, "This message is %s late: it was made at %s and is delivered only now.\n\n", late, time);
}

// ---- JSON --------------------------------------------------------------------------------------------------------------

static void add_id(struct json *object, const char *key, int64_t id)
{
    if (id != 0)
        json_add_i64(object, key, id);
}

struct json *message_json(const struct message *m)
{
    struct json *object = json_line_new("message");
    _cleanup_buf_ struct buf text = { 0 };
    json_add_str(object, "what", message_what_name(m->what));
    json_add_str(object, "severity", severity_name(m->severity));
    json_add_str(object, "host", m->host);
    json_add_str(object, "kind", m->kind);
    json_add_str(object, "policy", m->policy[0] ? m->policy : NULL);
    json_add_str(object, "copy", m->copy[0] ? m->copy : NULL);
    json_add_str(object, "subject", m->subject);
    json_add_str(object, "message", m->text);
    json_add_str(object, "next_step", m->next_step[0] ? m->next_step : NULL);
    if (m->time_ns != 0)
        json_add_time(object, "time", m->time_ns);
    if (m->since_ns != 0)
        json_add_time(object, "since", m->since_ns);
    if (is_late(m))
        json_add_u64(object, "late_ms", (m->now_ns - m->made_ns) / 1000000);
    add_id(object, "id", m->id);
    add_id(object, "alarm", m->alarm);
    add_id(object, "run", m->run);
    buf_addf(&text, "%s\n%s", m->subject, m->body);
    json_add_str(object, "text", buf_str(&text));
    return object;
}
