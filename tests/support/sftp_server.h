// A store on OpenSSH's real sftp-server, run as a child over a socket pair: what SSH would carry, without SSH. The line can be cut after a number of
// bytes, once or every time.
#ifndef BKD_TESTS_SUPPORT_SFTP_SERVER_H
#define BKD_TESTS_SUPPORT_SFTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/repo/store.h"

struct sftp_server {
    const char *denied;       // requests the server refuses (its option -P), or NULL
    uint64_t cut_after;       // bytes in either direction after which the line breaks; 0 = never
    unsigned cuts;            // how many connections break so; the later ones hold
    _Atomic unsigned started; // connections so far
    unsigned refuse_after;    // connections that may be made; 0 = any number
    bool count;               // turns and bytes are counted, as on a line so long that everything asked for travels together
    _Atomic unsigned turns;   // times the client had to wait for answers: round trips
    _Atomic uint64_t bytes;   // in both directions
};

bool sftp_server_is_there(void);
// A connector for store_sftp_open; *server outlives the store.
struct store_connector sftp_server_connector(struct sftp_server *server);

#endif
