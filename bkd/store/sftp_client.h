// The client's side of SFTP version 3 over a stream: single requests, and transfers that keep a window of requests in flight.
// Listings and many small files at once: sftp_many.h.
// One client belongs to one thread at a time. After ERROR_UNREACHABLE or ERROR_FORMAT it is of no more use and is closed.
//
// Answers of the server become errors: NOT_FOUND, EXISTS (also for servers that answer "failure" where a name is taken: the caller asks with
// sftp_stat), NO_SPACE where the server says so in words, FAILED with the server's text else.
#ifndef BKD_STORE_SFTP_CLIENT_H
#define BKD_STORE_SFTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/crypto.h"
#include "bkd/base/error.h"
#include "bkd/base/io.h"
#include "bkd/codec/sftp.h"
#include "bkd/store/stream.h"

#define SFTP_HANDLE_MAX 256u
#define SFTP_LANES_MAX 16u

struct sftp_client;

struct sftp_handle {
    uint8_t bytes[SFTP_HANDLE_MAX];
    uint32_t len;
};

// The stream belongs to the client from here on, also when this fails. Nothing waits longer than timeout_ms without a byte from the server.
MUST_USE int sftp_client_new(const struct io *io, struct stream *stream_taken, unsigned timeout_ms, struct sftp_client **ret_client, struct error *err);
void sftp_client_free(struct sftp_client *c); // NULL is fine

// What the server announced, and the shortest round trip so far.
struct sftp_abilities {
    bool fsync;   // fsync@openssh.com
    bool statvfs; // statvfs@openssh.com
    bool hash;    // check-file: the server hashes files
    uint64_t round_trip_ns;
    char *extensions; // all of them, "name=value, …"; owned by the client
};
const struct sftp_abilities *sftp_client_abilities(const struct sftp_client *c);

// flags: SFTP_OPEN_*; mode: of a file that is made.
MUST_USE int sftp_open(struct sftp_client *c, const char *path, uint32_t flags, uint32_t mode, struct sftp_handle *ret_handle, struct error *err);
MUST_USE int sftp_close(struct sftp_client *c, const struct sftp_handle *handle, struct error *err);
// Without waiting for the answer: for a file or directory that was only read.
void sftp_close_later(struct sftp_client *c, const struct sftp_handle *handle);
// Does not follow a link.
MUST_USE int sftp_stat(struct sftp_client *c, const char *path, struct sftp_attrs *ret_attrs, struct error *err);
MUST_USE int sftp_mkdir(struct sftp_client *c, const char *path, uint32_t mode, struct error *err);
MUST_USE int sftp_remove(struct sftp_client *c, const char *path, struct error *err);
// The plain RENAME of version 3: OpenSSH refuses a name that is taken. (posix-rename overwrites, and is never used.)
MUST_USE int sftp_rename(struct sftp_client *c, const char *from, const char *to, struct error *err);
// What bkd asks of a server only to learn that it is refused (bkd/copies/probe.h): attributes of a file that is there, and a rename that overwrites.
MUST_USE int sftp_setstat(struct sftp_client *c, const char *path, const struct sftp_attrs *attrs, struct error *err);
MUST_USE int sftp_posix_rename(struct sftp_client *c, const char *from, const char *to, struct error *err);
// Has the server hash a whole file (draft-ietf-secsh-filexfer-extensions-00, section 3). It is given time to read `size` bytes from a slow disk.
// ERROR_NOT_FOUND also where it cannot: see abilities.
MUST_USE int sftp_hash_file(struct sftp_client *c, const char *path, uint64_t size, uint8_t ret_sha256[32], struct error *err);
// Free and total bytes of the file system that holds the path; ERROR_NOT_FOUND where the server cannot tell.
MUST_USE int sftp_space(struct sftp_client *c, const char *path, uint64_t *ret_free, uint64_t *ret_total, struct error *err);

// Reads n bytes at an offset; short answers are asked for again. Less in the file than that is ERROR_INTEGRITY.
MUST_USE int sftp_read(struct sftp_client *c, const struct sftp_handle *handle, uint64_t offset, void *data, size_t n, struct error *err);
// The same, up to n bytes: *ret_got is less where the file ends.
MUST_USE int sftp_read_some(struct sftp_client *c, const struct sftp_handle *handle, uint64_t offset, void *data, size_t n, size_t *ret_got, struct error *err);
// Writes n bytes from the beginning of the file.
MUST_USE int sftp_write(struct sftp_client *c, const struct sftp_handle *handle, const void *data, size_t n, struct error *err);

// After a failure of sftp_send_file or sftp_write answers may be on their way: the clients are closed.
// Sends `size` bytes of a local file, through several clients at once where that is worth it: a lane is a client with the file open as its handle.
// The bytes are shared out as the lanes take them. `pace` (may be NULL) is asked before each write how many bytes may go now; 0 = wait a little.
struct sftp_lane {
    struct sftp_client *client;
    struct sftp_handle handle;
};
struct sftp_pace {
    size_t (*may_send)(void *arg, size_t wanted);
    void *arg;
};
struct sftp_sending {
    int fd;
    uint64_t size;
    struct crypto_sha256 *hash; // gets the bytes as they are sent, in their order; NULL: nobody asks
    const struct sftp_pace *pace;
    // Asked again and again for a further lane that has become ready; *ret_joins: it takes part until the end. left_ns: the time that is left, by the rate so
    // far; 0 = not known yet. A failure ends the sending. NULL: there are none.
    int (*further)(void *arg, uint64_t left_ns, struct sftp_lane *ret_lane, bool *ret_joins, struct error *err);
    void *arg;
};
MUST_USE int sftp_send_file(const struct io *io, const struct sftp_lane *lane, const struct sftp_sending *what, struct error *err);

#endif
