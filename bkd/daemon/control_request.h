// What a client asks the daemon: one JSON object on one line, such as {"type":"request","schema":1,"verb":"run","policy":"erp"}. Pure.
#ifndef BKD_DAEMON_CONTROL_REQUEST_H
#define BKD_DAEMON_CONTROL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/policy/policy.h"

#define CONTROL_REQUEST_MAX 4096u // bytes of a line
#define CONTROL_ACTION_MAX 32u

enum control_verb {
    CONTROL_PING,   // are you there?
    CONTROL_RUN,    // start POLICY's action now; with wait, answer when it has ended
    CONTROL_CANCEL, // end a run: `run`, or every run of `policy`
    CONTROL_WATCH,  // a line whenever something changed
    CONTROL_WAKE,   // what is to be done has changed (a pause, a slot): look again
    CONTROL_RELOAD, // read the policies anew
    CONTROL_VERBS,
};

struct control_request {
    enum control_verb verb;
    char policy[POLICY_NAME_MAX + 1]; // "" = not given
    char action[CONTROL_ACTION_MAX + 1]; // "backup" when not given
    uint64_t run; // 0 = not given
    bool wait;
};

// Reads one line without its LF. ERROR_FORMAT when it is no request, ERROR_USAGE when it asks for something unknown or lacks what its verb needs.
MUST_USE int control_request_parse(const void *text, size_t n, struct control_request *ret_request, struct error *err);
// The inverse, with its LF.
void control_request_format(const struct control_request *request, struct buf *ret_text);

#endif
