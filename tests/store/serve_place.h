// A directory that is served as `bkd serve` does it, by two sessions: a repository, traps in it, and something to steal beside it. For tests; failures end the
// test.
#ifndef TESTS_STORE_SERVE_PLACE_H
#define TESTS_STORE_SERVE_PLACE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bkd/codec/sftp.h"
#include "bkd/store/sftp_server.h"

#define OK(call) do { if ((call) != 0) fail_msg("%s: %s", #call, err.text); } while (0)

enum { WRITE = SFTP_OPEN_WRITE, READ = SFTP_OPEN_READ, CREAT = SFTP_OPEN_CREAT, TRUNC = SFTP_OPEN_TRUNC, APPEND = SFTP_OPEN_APPEND, EXCL = SFTP_OPEN_EXCL };
#define PART WRITE | CREAT | EXCL

struct serve_place {
    char dir[32];
    struct grow_dir grow;
    struct sftp_server *server, *other; // two sessions
    unsigned refused;
    struct buf out;
};

struct serve_request {
    const char *title;
    enum sftp_type type;
    const char *a, *b; // path, second path or name of an extension
    uint32_t flags;    // of OPEN, or which attributes SETSTAT sets
    uint32_t want;     // status
    bool told;
};

// For cmocka; *state is a struct serve_place.
int serve_place_setup(void **state);
int serve_place_teardown(void **state);

// A shell command in the directory that holds the one that is served (root) and what is beside it (outside): it is to succeed.
void serve_place_run(const struct serve_place *p, const char *command);
// For sftp_server_new: counts into `refused`. arg: a struct serve_place.
void serve_place_note_refused(void *arg, const char *request, const char *path);
// One more session, greeted.
struct sftp_server *serve_place_session(struct serve_place *p);
// All there is, inside and beside, as tools see it. Caller frees.
char *serve_place_listing(const struct serve_place *p);

void serve_place_build(const struct serve_request *q, struct buf *out);
// Sends a message and gives the one answer.
struct sftp_message serve_place_ask(struct serve_place *p, struct sftp_server *server, const struct buf *message);
// The status of an answer; one that is no STATUS is a success.
uint32_t serve_place_status(struct sftp_message m);
uint32_t serve_place_send(struct serve_place *p, struct sftp_server *server, const struct serve_request *q);
// OPEN, which is to succeed.
void serve_place_open(struct serve_place *p, struct sftp_server *server, const char *path, uint32_t flags, struct buf *ret_handle);
// WRITE, READ, CLOSE, FSTAT, FSETSTAT, or fsync: all begin with a handle.
uint32_t serve_place_on_handle(struct serve_place *p, struct sftp_server *server, enum sftp_type type, const struct buf *handle, uint64_t offset, const char *text);
uint32_t serve_place_rename(struct serve_place *p, struct sftp_server *server, const char *from, const char *to);

#endif
