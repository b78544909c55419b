#include "bkd/store/store_id.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"

#define FIRST_LINES "bkd-store/1\nid "
enum { TEXT_MAX = 256 };

int store_id_read(struct store *store, uint8_t ret_id[STORE_ID_SIZE], struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    size_t head = strlen(FIRST_LINES);
    int r = store_get_all(store, STORE_ID_FILE, TEXT_MAX, &text, err);
    if (r < 0 && r != ERROR_FORMAT)
        return r;
    if (r < 0 || text.len != head + 2 * STORE_ID_SIZE + 1 || memcmp(text.data, FIRST_LINES, head) != 0 || text.data[text.len - 1] != '\n' ||
        !parse_hex((const char *)text.data + head, 2 * STORE_ID_SIZE, ret_id, STORE_ID_SIZE))
        return error_set(err, ERROR_INTEGRITY, "'" STORE_ID_FILE "' in %s is damaged: put back the one that was there, which the log of `bkd prune` and the tombstones name",
                         store->url);
    return 0;
}

int store_id_ensure(const struct io *io, struct store *store, uint8_t ret_id[STORE_ID_SIZE], struct error *err)
{
    uint8_t id[STORE_ID_SIZE];
    char hex[2 * STORE_ID_SIZE + 1];
    int r = store_id_read(store, ret_id, err);
    if (r != ERROR_NOT_FOUND)
        return r;
    io_random(io, id, sizeof id);
    format_hex(hex, id, sizeof id);
    _cleanup_free_ char *text = xasprintf(FIRST_LINES "%s\n", hex);
    r = store->ops->put(store, STORE_ID_FILE, text, strlen(text), err);
    return r < 0 && r != ERROR_EXISTS ? r : store_id_read(store, ret_id, err); // somebody else may have been first
}
