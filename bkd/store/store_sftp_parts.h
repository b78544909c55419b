// Parts of many files of a store on an SFTP server for two round trips: one opens the files, one reads.
#ifndef BKD_STORE_STORE_SFTP_PARTS_H
#define BKD_STORE_STORE_SFTP_PARTS_H

#include "bkd/store/store.h"

// As get_parts of struct store_ops.
MUST_USE int store_sftp_get_parts(struct store *s, struct store_part *parts, size_t n, struct error *err);

#endif
