// The name of a store among the copies of one repository: the file `bkd-store`, made when a copy is first shipped to, or when something is first said of
// this place alone (that data is removed here, or never got here). Who keeps the store could exchange it for the name of another copy: whoever knows which it was compares.
#ifndef BKD_STORE_STORE_ID_H
#define BKD_STORE_STORE_ID_H

#include "bkd/store/store.h"

#define STORE_ID_SIZE 16u
#define STORE_ID_FILE "bkd-store"

// ERROR_NOT_FOUND: it has none yet; ERROR_INTEGRITY: the file is damaged.
MUST_USE int store_id_read(struct store *store, uint8_t ret_id[STORE_ID_SIZE], struct error *err);
// Makes one where there is none.
MUST_USE int store_id_ensure(const struct io *io, struct store *store, uint8_t ret_id[STORE_ID_SIZE], struct error *err);

#endif
