#include "bkd/store/sftp_join.h"

#include <string.h>

#include "bkd/base/log.h"

enum {
    CONNECT_TRIPS = 12,           // round trips from TCP to the opened file
    JOIN_TRIPS = 4,               // of a connection that is there: opening the file, looking at its beginning, closing it
    WORTH = 2,                    // so many times as long as that has to be left
    CONNECT_WORK_NS = 50000000,   // and the key exchange takes its time on both sides
    NEAR_NS = 3000000,            // round trips below are a local network: the cipher is the limit there, not the window
    NEAR_LANES = 2,
    SAMPLE = 4096,                // bytes at the front of the file, which the server has had for a while
};

void sftp_join_init(struct sftp_join *j, struct store_sftp *store, const struct sftp_lane_slot *first, const char *part, int fd, bool next_comes)
{
    *j = (struct sftp_join){ .store = store, .first = first, .part = part, .fd = fd, .next_comes = next_comes };
}

// Opening it for writing must have left it as it was.
static int check_kept(struct sftp_joiner *f, struct error *err)
{
    struct sftp_client *client = f->slot->client;
    struct sftp_handle reading;
    uint8_t there[SAMPLE], here[SAMPLE];
    size_t got_there = 0, got_here = 0;
    int r = sftp_open(client, f->part, SFTP_OPEN_READ, 0, &reading, err);
    if (r < 0)
        return r;
    r = sftp_read_some(client, &reading, 0, there, SAMPLE, &got_there, err);
    if (r == 0)
        sftp_close_later(client, &reading);
    if (r == 0)
        r = io_pread_full(f->store->io, f->fd, here, SAMPLE, 0, "the finished object", &got_here, err);
    if (r < 0)
        return r;
    return got_there == SAMPLE && got_here == SAMPLE && memcmp(here, there, SAMPLE) == 0
               ? 0
               : error_set(err, ERROR_UNREACHABLE, "the server empties a file that is opened again, so that one connection has to send it all");
}

static void *connect_joiner(void *arg)
{
    struct sftp_joiner *f = arg;
    bool asked = false;
    f->result = sftp_lanes_connect(f->store, f->slot, &f->why);
    if (f->result < 0)
        (void)sftp_lanes_refuse(f->store, f->slot);
    else {
        f->result = sftp_open(f->slot->client, f->part, SFTP_OPEN_WRITE, 0, &f->handle, &f->why);
        asked = f->result == 0 || sftp_lanes_is_broken(f->result);
    }
    if (f->result == 0)
        f->result = check_kept(f, &f->why);
    f->doubtful = asked && f->result < 0;
    if (f->doubtful)
        f->store->one_writer = true;
    f->ready = true;
    return NULL;
}

static void start_joiner(struct sftp_join *j, struct sftp_lane_slot *slot)
{
    struct sftp_joiner *f = &j->joiners[j->n++];
    *f = (struct sftp_joiner){ .store = j->store, .part = j->part, .fd = j->fd, .slot = slot };
    f->has_thread = pthread_create(&f->thread, NULL, connect_joiner, f) == 0;
    if (!f->has_thread) {
        f->result = error_set(&f->why, ERROR_FAILED, "there is no thread for it");
        f->ready = true;
    }
}

static bool is_worth_it(const struct sftp_join *j, const struct sftp_lane_slot *slot, uint64_t left_ns)
{
    uint64_t trip_ns = sftp_client_abilities(j->first->client)->round_trip_ns;
    return left_ns > WORTH * (slot->connected ? JOIN_TRIPS * trip_ns : CONNECT_TRIPS * trip_ns + CONNECT_WORK_NS);
}

// All that are idle, at the same time; but one is left to the file that comes next, unless there are too few to share.
static void take_idle(struct sftp_join *j, uint64_t left_ns)
{
    struct store_sftp *s = j->store;
    size_t idle = 0, wanted = (sftp_client_abilities(j->first->client)->round_trip_ns < NEAR_NS ? NEAR_LANES : SFTP_STORE_LANES) - 1;
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n_lanes; i++)
        idle += !s->lanes[i].busy && !s->lanes[i].refused;
    if (j->next_comes && s->n_lanes > 2 && idle > 0)
        idle--;
    for (unsigned i = 0; i < s->n_lanes && j->n < wanted && idle > 0; i++)
        if (!s->lanes[i].busy && !s->lanes[i].refused && is_worth_it(j, &s->lanes[i], left_ns)) {
            s->lanes[i].busy = true;
            start_joiner(j, &s->lanes[i]);
            idle--;
        }
    pthread_mutex_unlock(&s->lock);
}

int sftp_join_further(void *arg, uint64_t left_ns, struct sftp_lane *ret_lane, bool *ret_joins, struct error *err)
{
    struct sftp_join *j = arg;
    *ret_joins = false;
    if (left_ns > 0 && !j->store->one_writer)
        take_idle(j, left_ns);
    for (size_t i = 0; i < j->n; i++) {
        struct sftp_joiner *f = &j->joiners[i];
        if (f->joined || !f->ready)
            continue;
        if (f->doubtful) {
            *err = f->why;
            return ERROR_UNREACHABLE;
        }
        if (f->result < 0)
            continue;
        f->joined = *ret_joins = true;
        *ret_lane = (struct sftp_lane){ .client = f->slot->client, .handle = f->handle };
        return 0;
    }
    return 0;
}

static int take_closed(void *arg, unsigned what, size_t index, struct sftp_message *m, struct error *err)
{
    uint32_t status;
    (void)what, (void)index;
    return sftp_wire_status(m, "close", arg, &status, err);
}

// Sent to all before the first is waited for. A server may refuse to give a file a name that somebody still has open.
static void ask_close(struct sftp_joiner *f)
{
    struct error ignored; // met again where the answer is waited for
    bool moved;
    f->burst.client = f->slot->client;
    sftp_burst_handle(&f->burst, SFTP_CLOSE, &f->handle, 0, 0);
    (void)!sftp_wire_move(f->slot->client, &moved, &ignored);
}

static int end_joiner(struct sftp_join *j, struct sftp_joiner *f, int result, struct error *err)
{
    struct error why;
    int r = 0;
    if (f->result < 0)
        log_debug("%s: no further connection: %s", j->store->store.url, f->why.text);
    else
        r = sftp_burst_wait(&f->burst, take_closed, (void *)(uintptr_t)j->part, &why);
    sftp_burst_done(&f->burst);
    if (f->result < 0 || r < 0 || result < 0) // answers may be on their way
        sftp_lanes_disconnect(f->slot);
    sftp_lanes_give(j->store, f->slot);
    if (r < 0 && result == 0)
        *err = why;
    return result < 0 ? result : r;
}

int sftp_join_end(struct sftp_join *j, int result, struct error *err)
{
    for (size_t i = 0; i < j->n; i++) {
        struct sftp_joiner *f = &j->joiners[i];
        if (f->has_thread)
            (void)pthread_join(f->thread, NULL);
        if (f->doubtful && result == 0) { // by one that came too late to join
            *err = f->why;
            result = ERROR_UNREACHABLE;
        }
        if (f->result == 0 && result < 0)
            f->result = error_set(&f->why, ERROR_UNREACHABLE, "the sending failed");
        else if (f->result == 0)
            ask_close(f);
    }
    for (size_t i = 0; i < j->n; i++)
        result = end_joiner(j, &j->joiners[i], result, err);
    return result;
}
