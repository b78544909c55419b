// A store on OpenSSH's real sftp-server, run as a child over a socket pair: what SSH would carry, without SSH. The line can be cut after a number of
// bytes, once or every time.
#ifndef BKD_TESTS_SUPPORT_SFTP_SERVER_H
#define BKD_TESTS_SUPPORT_SFTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/store/store.h"

enum sftp_lie {
    SFTP_HONEST,
    SFTP_SHORT_DATA,   // a third of what was read, and so on: allowed by the protocol
    SFTP_EMPTY_DATA,   // no byte, though it is not the end
    SFTP_LONG_DATA,    // more than was asked for
    SFTP_WRONG_ID,     // answers a request that was not made
    SFTP_HUGE_LENGTH,  // a message of 2 GiB is announced
    SFTP_CUT_BODY,     // the body ends in the middle of a field
    SFTP_NOISE,        // every byte of the body is another
    SFTP_SMALLER_SIZE, // files are said to be a byte shorter
    SFTP_LARGER_SIZE,  // and a byte longer
    SFTP_OTHER_TYPE,   // HANDLE where there should be DATA, and so on
    SFTP_STATUS_4,     // FAILURE to everything but the beginning
    SFTP_STATUS_11,    // FILE_ALREADY_EXISTS likewise
    SFTP_LIES,
};

struct sftp_server {
    const char *denied;       // requests the server refuses (its option -P), or NULL
    uint64_t cut_after;       // bytes in either direction after which the line breaks; 0 = never
    unsigned cuts;            // how many connections break so; the later ones hold
    _Atomic unsigned started; // connections so far
    unsigned refuse_after;    // connections that may be made; 0 = any number
    enum sftp_lie lie;        // what its answers are made into
    bool count;               // turns and bytes are counted, as on a line so long that everything asked for travels together
    _Atomic unsigned turns;   // times the client had to wait for answers: round trips
    _Atomic uint64_t bytes;   // in both directions
};

bool sftp_server_is_there(void);
// A connector for store_sftp_open; *server outlives the store.
struct store_connector sftp_server_connector(struct sftp_server *server);

#endif
