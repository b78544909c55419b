// Transfers of the SFTP client: a window of requests is kept in flight, so that a round trip costs nothing but latency.
#include <stdlib.h>
#include <string.h>

#include "bkd/store/sftp_client.h"
#include "bkd/store/sftp_wire.h"

enum {
    WINDOW_MAX = 8 << 20,      // bytes asked for or sent and not answered
    STEP = SFTP_DATA_MAX,      // bytes of one request
    REQUESTS_MAX = WINDOW_MAX / STEP,
    PACE_MS = 20,              // how long to wait when the pace allows nothing now
    RATE_TRIPS = 4,            // round trips after which the rate of a transfer is known
};

// ---- how much is in flight

// What a whole window took to be answered says what holds the line back: about one round trip, and it is the window, which is doubled then; longer, and it
// is the line's rate, of which more in flight would only be a longer queue.
static void note_answered(struct sftp_client *c, size_t bytes)
{
    c->window_answered += bytes;
    if (c->window_answered < c->window)
        return;
    uint64_t now = io_monotonic_ns(c->io), passed = now - c->window_since_ns;
    if (passed < 2 * c->abilities.round_trip_ns && c->window < WINDOW_MAX)
        c->window *= 2;
    c->window_answered = 0;
    c->window_since_ns = now;
}

static size_t requests_max(const struct sftp_client *c) { return c->window / STEP; }

// ---- requests in flight, by id

struct request {
    uint32_t id;
    uint32_t length; // bytes; 0 = free
    uint64_t offset;
};

struct flight {
    struct request requests[REQUESTS_MAX];
    size_t n; // in flight
};

// Ids are given one after the other, so that a request stands at its id modulo the table's size unless a slow one is still there.
static struct request *slot_for(struct flight *f, uint32_t id)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        struct request *r = &f->requests[(id + i) % REQUESTS_MAX];
        if (r->length == 0)
            return r;
    }
    return NULL;
}

static struct request *find(struct flight *f, uint32_t id)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        struct request *r = &f->requests[(id + i) % REQUESTS_MAX];
        if (r->length > 0 && r->id == id)
            return r;
    }
    return NULL;
}

static void note_request(struct flight *f, uint32_t id, uint64_t offset, uint32_t length)
{
    *slot_for(f, id) = (struct request){ .id = id, .length = length, .offset = offset };
    f->n++;
}

// The request an answer belongs to, taken out of the table.
static int take_request(struct flight *f, const struct sftp_message *m, struct request *ret_request, struct error *err)
{
    struct request *r = find(f, m->id);
    if (r == NULL)
        return error_set(err, ERROR_FORMAT, "the server answers a request that was not made");
    *ret_request = *r;
    r->length = 0;
    f->n--;
    return 0;
}

// ---- reading

struct reading {
    struct sftp_client *client;
    const struct sftp_handle *handle;
    uint64_t offset; // of data[0] in the file
    uint8_t *data;
    size_t n;
    size_t asked; // bytes asked for from the front
    bool may_end; // the file may end before n
    size_t end;   // where it did, counted as data is
    struct flight flight;
};

static void ask(struct reading *r, uint64_t offset, uint32_t length)
{
    uint32_t id = sftp_wire_begin(r->client, SFTP_READ);
    sftp_wire_put_handle(r->client, r->handle);
    sftp_put_u64(&r->client->out, offset);
    sftp_put_u32(&r->client->out, length);
    sftp_wire_end(r->client);
    note_request(&r->flight, id, offset, length);
}

static void ask_more(struct reading *r)
{
    while (r->asked < r->n && r->flight.n < requests_max(r->client)) {
        uint32_t length = r->n - r->asked < STEP ? (uint32_t)(r->n - r->asked) : STEP;
        ask(r, r->offset + r->asked, length);
        r->asked += length;
    }
}

static int take_data(struct reading *r, struct sftp_message *m, struct error *err)
{
    struct request request;
    const uint8_t *data;
    size_t n;
    uint32_t status = SFTP_OK;
    int e = take_request(&r->flight, m, &request, err);
    if (e < 0)
        return e;
    if (m->type != SFTP_DATA) {
        struct error why; // an end that is no failure leaves *err alone
        e = sftp_wire_status(m, "read", "the file", &status, &why);
        if (status == SFTP_EOF && r->may_end) {
            size_t at = (size_t)(request.offset - r->offset);
            r->end = at < r->end ? at : r->end;
            return 0;
        }
        if (status == SFTP_EOF)
            return error_set(err, ERROR_INTEGRITY, "it ends before byte %llu", (unsigned long long)(request.offset + request.length));
        if (e < 0)
            *err = why;
        return e < 0 ? e : sftp_wire_malformed(m, err);
    }
    if (!sftp_get_string(&m->body, &data, &n) || n > request.length || n == 0)
        return sftp_wire_malformed(m, err);
    memcpy(r->data + (request.offset - r->offset), data, n);
    note_answered(r->client, n);
    if (n < request.length) // servers may answer with less
        ask(r, request.offset + n, request.length - (uint32_t)n);
    return 0;
}

// After a failure the answers to what is in flight are still to come: they are waited for, so that the client can be used again.
static int read_answers(struct reading *r, struct error *err)
{
    int failure = 0;
    struct error second;
    while (r->flight.n > 0) {
        struct sftp_message m;
        struct request request;
        bool got = false, moved = false;
        int e = sftp_wire_take(r->client, &m, &got, failure < 0 ? &second : err);
        if (e == 0 && got) {
            if (failure == 0) {
                failure = take_data(r, &m, err);
                if (failure == 0)
                    ask_more(r);
            } else {
                e = take_request(&r->flight, &m, &request, &second);
            }
        } else if (e == 0) {
            e = sftp_wire_move(r->client, &moved, failure < 0 ? &second : err);
            if (e == 0 && !moved)
                e = sftp_wire_wait(&r->client, 1, -1, failure < 0 ? &second : err);
        }
        if (e < 0)
            return failure < 0 ? failure : e;
    }
    return failure;
}

int sftp_read_some(struct sftp_client *c, const struct sftp_handle *handle, uint64_t offset, void *data, size_t n, size_t *ret_got, struct error *err)
{
    struct reading *r = xcalloc(1, sizeof *r);
    *r = (struct reading){ .client = c, .handle = handle, .offset = offset, .data = data, .n = n, .may_end = true, .end = n };
    ask_more(r);
    int e = read_answers(r, err);
    if (e == 0)
        *ret_got = r->end;
    free(r);
    return e;
}

int sftp_read(struct sftp_client *c, const struct sftp_handle *handle, uint64_t offset, void *data, size_t n, struct error *err)
{
    struct reading *r = xcalloc(1, sizeof *r);
    *r = (struct reading){ .client = c, .handle = handle, .offset = offset, .data = data, .n = n };
    ask_more(r);
    int e = read_answers(r, err);
    free(r);
    return e;
}

// ---- sending

struct lane_state {
    struct sftp_client *client;
    struct sftp_handle handle;
    struct flight flight;
};

struct sending {
    const struct io *io;
    const struct sftp_sending *what;
    const uint8_t *data; // NULL: from the file
    uint64_t next;       // shared by all lanes
    uint64_t answered, since_ns;
    bool paced;          // nothing may go now
    struct lane_state *lanes[SFTP_LANES_MAX];
    size_t n_lanes;
};

static void add_lane(struct sending *s, const struct sftp_lane *lane)
{
    struct lane_state *l = xcalloc(1, sizeof *l);
    l->client = lane->client;
    l->handle = lane->handle;
    s->lanes[s->n_lanes++] = l;
}

// The bytes leave in the order of the file, whichever lane takes them, so that they can be hashed on the way.
static int take_bytes(struct sending *s, uint8_t *place, uint32_t length, struct error *err)
{
    size_t got = 0;
    if (s->data != NULL) {
        memcpy(place, s->data + s->next, length);
        return 0;
    }
    int r = io_pread_full(s->io, s->what->fd, place, length, s->next, "the finished object", &got, err);
    if (r < 0)
        return r;
    if (got < length)
        return error_set(err, ERROR_INTEGRITY, "the local file ends at byte %llu, before its time", (unsigned long long)(s->next + got));
    if (s->what->hash != NULL)
        crypto_sha256_update(s->what->hash, place, length);
    return 0;
}

static int send_one(struct sending *s, struct lane_state *l, uint32_t length, struct error *err)
{
    struct sftp_client *c = l->client;
    uint32_t id = sftp_wire_begin(c, SFTP_WRITE);
    sftp_wire_put_handle(c, &l->handle);
    sftp_put_u64(&c->out, s->next);
    sftp_put_u32(&c->out, length);
    int r = take_bytes(s, buf_extend(&c->out, length), length, err);
    if (r < 0)
        return r;
    sftp_wire_end(c);
    note_request(&l->flight, id, s->next, length);
    s->next += length;
    return 0;
}

// Fills the lane's window, as far as its stream takes it.
static int send_more(struct sending *s, struct lane_state *l, struct error *err)
{
    const struct sftp_sending *w = s->what;
    while (s->next < w->size && l->flight.n < requests_max(l->client) && sftp_wire_pending(l->client) < SFTP_WIRE_PENDING_MAX) {
        uint32_t length = w->size - s->next < STEP ? (uint32_t)(w->size - s->next) : STEP;
        if (w->pace != NULL && w->pace->may_send(w->pace->arg, length) < length) {
            s->paced = true;
            return 0;
        }
        int r = send_one(s, l, length, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int take_answers(struct sending *s, struct lane_state *l, struct error *err)
{
    for (;;) {
        struct sftp_message m;
        struct request request;
        bool got = false;
        uint32_t status;
        int r = sftp_wire_take(l->client, &m, &got, err);
        if (r < 0 || !got)
            return r;
        r = take_request(&l->flight, &m, &request, err);
        if (r == 0)
            r = sftp_wire_status(&m, "write", "the file", &status, err);
        if (r < 0)
            return r;
        s->answered += request.length;
        note_answered(l->client, request.length);
    }
}

static int serve_lane(struct sending *s, struct lane_state *l, bool *moved, struct error *err)
{
    bool this_time = false;
    int r = send_more(s, l, err);
    if (r == 0)
        r = sftp_wire_move(l->client, &this_time, err);
    *moved |= this_time;
    return r < 0 ? r : take_answers(s, l, err);
}

// How long what is left will take, by what was measured so far; 0 = not known yet.
static uint64_t time_left_ns(const struct sending *s)
{
    uint64_t passed = io_monotonic_ns(s->io) - s->since_ns;
    if (s->answered == 0 || passed < RATE_TRIPS * s->lanes[0]->client->abilities.round_trip_ns)
        return 0;
    return (uint64_t)((double)(s->what->size - s->next) / (double)s->answered * (double)passed);
}

static int ask_for_lane(struct sending *s, struct error *err)
{
    struct sftp_lane lane;
    bool joins = false;
    if (s->what->further == NULL || s->next >= s->what->size || s->n_lanes == SFTP_LANES_MAX)
        return 0;
    int r = s->what->further(s->what->arg, time_left_ns(s), &lane, &joins, err);
    if (r == 0 && joins)
        add_lane(s, &lane);
    return r;
}

static int wait_for_lanes(struct sending *s, struct error *err)
{
    struct sftp_client *clients[SFTP_LANES_MAX];
    for (size_t i = 0; i < s->n_lanes; i++) {
        clients[i] = s->lanes[i]->client;
        if (s->lanes[i]->flight.n == 0)
            clients[i]->last_byte_ns = io_monotonic_ns(s->io); // it owes nothing: held back by the pace
    }
    return sftp_wire_wait(clients, s->n_lanes, s->paced ? PACE_MS : -1, err);
}

static int send_all(struct sending *s, struct error *err)
{
    for (;;) {
        bool moved = false, busy = s->next < s->what->size;
        s->paced = false;
        int r = ask_for_lane(s, err);
        if (r < 0)
            return r;
        for (size_t i = 0; i < s->n_lanes; i++) {
            r = serve_lane(s, s->lanes[i], &moved, err);
            if (r < 0)
                return r;
            busy |= s->lanes[i]->flight.n > 0;
        }
        if (!busy)
            return 0;
        r = moved ? 0 : wait_for_lanes(s, err);
        if (r < 0)
            return r;
    }
}

static int send_through(struct sending *s, const struct sftp_lane *lane, struct error *err)
{
    s->since_ns = io_monotonic_ns(s->io);
    add_lane(s, lane);
    int r = send_all(s, err);
    for (size_t i = 0; i < s->n_lanes; i++)
        free(s->lanes[i]);
    return r;
}

int sftp_send_file(const struct io *io, const struct sftp_lane *lane, const struct sftp_sending *what, struct error *err)
{
    struct sending s = { .io = io, .what = what };
    return send_through(&s, lane, err);
}

int sftp_write(struct sftp_client *c, const struct sftp_handle *handle, const void *data, size_t n, struct error *err)
{
    struct sftp_sending what = { .fd = -1, .size = n };
    struct sending s = { .io = c->io, .what = &what, .data = data };
    return send_through(&s, &(struct sftp_lane){ .client = c, .handle = *handle }, err);
}
