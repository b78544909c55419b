#include "bkd/store/sftp_lanes.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bkd/base/log.h"

enum {
    TRIES = 5,          // connections for one request
    TRIES_AT_FIRST = 3, // before there was one: a server that is down is told soon
    BACK_OFF_MS = 500,  // before the second try, doubled each time
};

char *sftp_lanes_path(const struct store_sftp *s, const char *name)
{
    return name[0] == '\0' ? xstrdup(s->root) : strcmp(s->root, "/") == 0 ? xasprintf("/%s", name) : xasprintf("%s/%s", s->root, name);
}

int sftp_lanes_in_store(const struct store_sftp *s, int r, struct error *err) { return r < 0 ? error_prefix(err, "repository %s", s->store.url) : r; }

// ---- lanes

void sftp_lanes_disconnect(struct sftp_lane_slot *lane)
{
    sftp_client_free(lane->client);
    lane->client = NULL;
    lane->connected = false;
    free(lane->open_name);
    free(lane->ahead);
    lane->open_name = NULL;
    lane->ahead = NULL;
    lane->ahead_n = 0;
}

// The idle lane best suited: one that has the file open, else a connected one, else one that is not. NULL when all are busy.
static struct sftp_lane_slot *idle_lane(struct store_sftp *s, const char *name)
{
    struct sftp_lane_slot *best = NULL;
    for (unsigned i = 0; i < s->n_lanes; i++) {
        struct sftp_lane_slot *lane = &s->lanes[i];
        if (lane->busy || lane->refused)
            continue;
        if (name != NULL && lane->open_name != NULL && strcmp(lane->open_name, name) == 0)
            return lane;
        if (best == NULL || (best->client == NULL && lane->client != NULL))
            best = lane;
    }
    return best;
}

static struct sftp_lane_slot *take_lane(struct store_sftp *s, const char *name)
{
    struct sftp_lane_slot *lane;
    pthread_mutex_lock(&s->lock);
    while ((lane = idle_lane(s, name)) == NULL)
        pthread_cond_wait(&s->freed, &s->lock);
    lane->busy = true;
    pthread_mutex_unlock(&s->lock);
    return lane;
}

void sftp_lanes_give(struct store_sftp *s, struct sftp_lane_slot *lane)
{
    pthread_mutex_lock(&s->lock);
    lane->busy = false;
    pthread_cond_signal(&s->freed);
    pthread_mutex_unlock(&s->lock);
}

int sftp_lanes_connect(struct store_sftp *s, struct sftp_lane_slot *lane, struct error *err)
{
    int r = lane->client != NULL ? 0 : s->connector.connect(s->connector.arg, &lane->client, err);
    if (r == 0)
        s->was_there = lane->connected = true;
    return r;
}

bool sftp_lanes_refuse(struct store_sftp *s, struct sftp_lane_slot *lane)
{
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n_lanes && !lane->refused; i++)
        lane->refused = s->lanes[i].connected; // those are never refused: one is always left
    pthread_mutex_unlock(&s->lock);
    return lane->refused;
}

bool sftp_lanes_is_broken(int r) { return r == ERROR_UNREACHABLE || r == ERROR_FORMAT; }

// ---- one request, tried again on a new connection when the line breaks

static void back_off(const struct store_sftp *s, unsigned tries)
{
    unsigned first = s->connector.back_off_ms == 0 ? BACK_OFF_MS : s->connector.back_off_ms, ms = first << (tries - 1);
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
    (void)nanosleep(&t, NULL);
}

// *ret_refused: nothing was done, and another lane can do it.
static int try_request(struct store_sftp *s, struct sftp_lane_slot *lane, sftp_lanes_request_fn *request, void *arg, bool *ret_refused, struct error *err)
{
    for (unsigned tries = 1;; tries++) {
        int r = sftp_lanes_connect(s, lane, err);
        *ret_refused = tries == 1 && sftp_lanes_is_broken(r) && sftp_lanes_refuse(s, lane);
        if (*ret_refused)
            return r;
        if (r == 0)
            r = request(s, lane, arg, tries > 1, err);
        if (!sftp_lanes_is_broken(r))
            return r;
        sftp_lanes_disconnect(lane);
        if (tries == (s->was_there ? TRIES : TRIES_AT_FIRST)) {
            err->code = ERROR_UNREACHABLE;
            return error_prefix(err, "given up after %u tries", tries);
        }
        log_info("%s: %s; trying again", s->store.url, err->text);
        back_off(s, tries);
    }
}

int sftp_lanes_run(struct store *store, const char *name, sftp_lanes_request_fn *request, void *arg, struct error *err)
{
    struct store_sftp *s = sftp_lanes_of(store);
    bool refused = false;
    int r;
    do {
        struct sftp_lane_slot *lane = take_lane(s, name);
        r = try_request(s, lane, request, arg, &refused, err);
        sftp_lanes_give(s, lane);
        if (refused)
            log_info("%s: %s; going on over the connections that are there", s->store.url, err->text);
    } while (refused);
    return sftp_lanes_in_store(s, r, err);
}

// ---- the file that was read last stays open

void sftp_lanes_close_file(struct sftp_lane_slot *lane)
{
    if (lane->open_name == NULL)
        return;
    free(lane->open_name);
    lane->open_name = NULL;
    lane->ahead_n = 0;
    sftp_close_later(lane->client, &lane->handle);
}

int sftp_lanes_open_file(struct store_sftp *s, struct sftp_lane_slot *lane, const char *name, struct error *err)
{
    if (lane->open_name != NULL && strcmp(lane->open_name, name) == 0)
        return 0;
    _cleanup_free_ char *path = sftp_lanes_path(s, name);
    sftp_lanes_close_file(lane);
    int r = sftp_open(lane->client, path, SFTP_OPEN_READ, 0, &lane->handle, err);
    if (r == 0)
        lane->open_name = xstrdup(name);
    return r;
}
