// A directory behind an sftp-server of OpenSSH's, and the store on it. For tests; failures end the test.
#ifndef TESTS_STORE_FAR_PLACE_H
#define TESTS_STORE_FAR_PLACE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bkd/store/store.h"
#include "tests/support/sftp_server.h"

#define OK(call) do { if ((call) != 0) fail_msg("%s: %s", #call, err.text); } while (0)

struct far_place {
    char dir[32];
    struct sftp_server server; // what it is to do is set before far_place_open
    struct store *store;
};

// For cmocka; *state is a struct far_place, its store not opened yet.
int far_place_setup(void **state);
int far_place_teardown(void **state);

// Opens the store anew.
int far_place_open(struct far_place *p, struct error *err);
int far_place_spool(struct store *s, const void *data, size_t n, int *ret_fd, char **ret_name, struct error *err);
// Bytes that do not repeat. Caller frees.
uint8_t *far_place_pattern(size_t n);
unsigned far_place_files_below(const char *dir);

#endif
