#include "bkd/store/store_sftp_hash.h"

#include <string.h>

#include "bkd/base/log.h"
#include "bkd/store/sftp_lanes.h"

struct hash {
    const char *name;
    uint64_t size;
    uint8_t sha256[32];
    bool offered;
};

static int do_hash(struct store_sftp *s, struct sftp_lane_slot *lane, void *arg, bool again, struct error *err)
{
    struct hash *h = arg;
    (void)again;
    h->offered = sftp_client_abilities(lane->client)->hash;
    if (!h->offered)
        return 0;
    _cleanup_free_ char *path = sftp_lanes_path(s, h->name);
    return sftp_hash_file(lane->client, path, h->size, h->sha256, err);
}

// Tried once: an account that runs no commands now will not do so for the next object.
static bool has_hasher(struct store_sftp *s)
{
    struct stream *stream = NULL;
    struct error why;
    if (s->hasher != NULL || s->hasher_failed)
        return s->hasher != NULL;
    _cleanup_free_ char *command = far_hasher_command(s->root);
    int r = s->connector.run(s->connector.arg, command, &stream, &why);
    if (r == 0)
        r = far_hasher_new(s->io, stream, &s->hasher, &why);
    s->hasher_failed = r < 0;
    if (r < 0)
        log_warn("%s: %s", s->store.url, why.text);
    return r == 0;
}

static int hash_in_shell(struct store_sftp *s, struct hash *h, struct error *err)
{
    int r = 0;
    pthread_mutex_lock(&s->hasher_lock);
    h->offered = has_hasher(s);
    if (h->offered)
        r = far_hasher_hash(s->hasher, h->name, h->size, h->sha256, err);
    if (r < 0 && r != ERROR_NOT_FOUND) { // the next one gets a new shell
        far_hasher_free(s->hasher);
        s->hasher = NULL;
    }
    pthread_mutex_unlock(&s->hasher_lock);
    return sftp_lanes_in_store(s, r, err);
}

int store_sftp_hash(struct store *store, const char *name, uint64_t size, uint8_t ret_sha256[32], bool *ret_offered, struct error *err)
{
    struct store_sftp *s = sftp_lanes_of(store);
    struct hash h = { .name = name, .size = size };
    int r = store_check_name(store, name, err);
    if (r == 0)
        r = sftp_lanes_run(store, NULL, do_hash, &h, err);
    if (r == 0 && !h.offered && s->connector.run != NULL)
        r = hash_in_shell(s, &h, err);
    if (r < 0)
        return r;
    memcpy(ret_sha256, h.sha256, sizeof h.sha256);
    *ret_offered = h.offered;
    return 0;
}
