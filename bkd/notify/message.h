// One message as somebody gets it: what is told, and its forms as text and as JSON. Pure.
//
// Names and sentences in it come from outside (policies, servers, errors): whatever bytes they hold, the forms made here are one line where a line is
// wanted, and valid UTF-8. Secrets never are in a message: it may be stored, sent and logged.
#ifndef BKD_NOTIFY_MESSAGE_H
#define BKD_NOTIFY_MESSAGE_H

#include "bkd/base/buf.h"
#include "bkd/base/json.h"
#include "bkd/record/events.h"

enum message_what {
    MESSAGE_OPENED,    // an alarm began
    MESSAGE_CHANGED,   // its severity is another now
    MESSAGE_REMINDER,  // it still stands
    MESSAGE_ESCALATED, // it still stands, and somebody else is told
    MESSAGE_OVER,      // it is well again
    MESSAGE_HAPPENED,  // no alarm: a run ended …
    MESSAGE_DIGEST,
    MESSAGE_SUMMARY,   // of messages that could not be delivered
    MESSAGE_TEST,
    MESSAGE_WHATS
};
// "opened", "changed", "reminder" … : in JSON, the environment of commands, and the catalogue.
const char *message_what_name(enum message_what what);
bool message_what_parse(const char *name, enum message_what *ret_what);

// Strings are borrowed; "" = none.
struct message {
    enum message_what what;
    enum severity severity;
    const char *host, *kind, *policy, *copy;
    const char *text;      // one sentence
    const char *next_step; // what to do
    uint64_t time_ns;      // when it happened; of an alarm that is over when it ended
    uint64_t since_ns;     // when the alarm began; 0 = no alarm
    uint64_t made_ns;      // when the message was made
    uint64_t now_ns;       // of this try
    uint64_t repeated;     // how many more of its kind were not told since the last one
    int64_t id, alarm, run; // 0 = none
    const char *run_uid;    // 32 hex digits
    const char *subject, *body; // made by message_subject and message_body, and kept; of a digest and a summary all there is
};

#define MESSAGE_LATE_NS (UINT64_C(600) * 1000000000) // what arrives later than this says so

// One line of at most about 150 characters: "[bkd web1] CRITICAL erp: the newest snapshot is 2 d old".
void message_subject(const struct message *m, struct buf *ret_text);
// The text for people, lines ended by LF: the sentence, what to do, and the facts.
void message_body(const struct message *m, struct buf *ret_text);
// What stands before the body when it is late: when it was made, and an empty line; nothing when it is not.
void message_late(const struct message *m, struct buf *ret_text);
// The whole message as one JSON object; "text" is subject and sentence, which chat servers show. Free with json_free.
struct json *message_json(const struct message *m);

// Appends text as one line of valid UTF-8: characters that a terminal or a header would obey become spaces, bytes that are no UTF-8 U+FFFD; cut to at most
// `max` bytes (whole characters, "..." at the end).
void message_add_line(const char *text, size_t max, struct buf *ret_text);

#endif
