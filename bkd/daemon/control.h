// The daemon's control socket, STATE_DIR/control: other processes of the same user, and root, ask it to do things (bkd/daemon/control_request.h).
//
// One line a connection is a request; the answers are JSON lines, the last of which ends the connection. Whoever else connects, is slow, sends more
// than a request, or does not read its answers, is dropped: at most CONTROL_CLIENTS_MAX are kept at a time, one that has not asked yet makes room for a new one.
// What was dropped is logged once in a while, not once each.
#ifndef BKD_DAEMON_CONTROL_H
#define BKD_DAEMON_CONTROL_H

#include <sys/types.h>

#include "bkd/base/json.h"
#include "bkd/base/loop.h"
#include "bkd/daemon/control_request.h"

#define CONTROL_SOCKET "control" // in the state directory
#define CONTROL_CLIENTS_MAX 64
#define CONTROL_REQUEST_MS 5000 // for the whole request, and for taking an answer

struct control;

// Somebody who has asked and waits for answers. What the daemon notes about it lies here, so that it goes with the client.
struct control_client {
    uid_t uid;
    pid_t pid;
    uint64_t waits_for; // the number of a job; 0 = none
    bool watches;
};

// Takes a request and answers it with control_answer and control_end, at once or later.
typedef void control_fn(void *arg, struct control_client *client, const struct control_request *request);

// Listens; hold the daemon's lock. Requests are given to `fn` by the loop.
MUST_USE int control_new(struct loop *loop, const char *state_dir, control_fn *fn, void *arg, struct control **ret_control, struct error *err);
// Drops all clients and removes the socket's name. NULL is fine.
void control_free(struct control *control);

// Queues a line for the client, and frees it.
void control_answer(struct control_client *client, struct json **line);
// The last line of a request that failed: {"type":"error",…}.
void control_refuse(struct control_client *client, const struct error *err);
// No more answers: the connection ends when all are sent.
void control_end(struct control_client *client);
// Calls fn for each client that has asked; fn may end it.
void control_each(struct control *control, void (*fn)(void *arg, struct control_client *client), void *arg);

#endif
