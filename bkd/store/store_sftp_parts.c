#include "bkd/store/store_sftp_parts.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/store/sftp_burst.h"
#include "bkd/store/sftp_lanes.h"

enum { FILES_AT_ONCE = 64, STEP = SFTP_DATA_MAX, STEPS_MAX = 1024 };

enum what { OPEN, READ };

struct file {
    const char *name;
    bool open, kept; // kept: the lane has it open
    struct sftp_handle handle;
};

struct parts {
    struct store_part *wanted;
    struct file **file_of; // beside wanted
    size_t *got;           // likewise: bytes
    size_t n;
    struct file files[FILES_AT_ONCE];
    size_t n_files;
    struct sftp_burst burst;
};

// ---- answers

static int take_open(struct file *f, const struct sftp_message *m, struct error *err)
{
    struct cursor body = m->body;
    const uint8_t *data;
    size_t n;
    if (!sftp_get_string(&body, &data, &n) || n > SFTP_HANDLE_MAX)
        return sftp_wire_malformed(m, err);
    memcpy(f->handle.bytes, data, n);
    f->handle.len = (uint32_t)n;
    f->open = true;
    return 0;
}

// A server may answer with less than was asked for: then the part is left to those who read in the usual way.
static int take_data(struct parts *p, size_t i, size_t step, struct sftp_message *m, struct error *err)
{
    const uint8_t *data;
    size_t n, left = p->wanted[i].n - step * STEP;
    if (!sftp_get_string(&m->body, &data, &n) || n == 0 || n > (left < STEP ? left : STEP))
        return sftp_wire_malformed(m, err);
    memcpy((uint8_t *)p->wanted[i].data + step * STEP, data, n);
    p->got[i] += n;
    return 0;
}

static int take_answer(void *arg, unsigned what, size_t index, struct sftp_message *m, struct error *err)
{
    struct parts *p = arg;
    struct error why;
    uint32_t status = SFTP_OK;
    if (what == OPEN && m->type == SFTP_HANDLE)
        return take_open(&p->files[index], m, err);
    if (what == READ && m->type == SFTP_DATA)
        return take_data(p, index / STEPS_MAX, index % STEPS_MAX, m, err);
    int r = sftp_wire_status(m, "read", "it", &status, &why);
    if (r == 0)
        return sftp_wire_malformed(m, err);
    if (status == SFTP_OK)
        *err = why;
    return status == SFTP_OK ? r : 0; // what is not read is told by the part
}

// ---- asking

static struct file *file_of(struct parts *p, const struct sftp_lane_slot *lane, const char *name)
{
    for (size_t i = 0; i < p->n_files; i++)
        if (strcmp(p->files[i].name, name) == 0)
            return &p->files[i];
    struct file *f = &p->files[p->n_files++];
    *f = (struct file){ .name = name };
    f->kept = f->open = lane->open_name != NULL && strcmp(lane->open_name, name) == 0;
    if (f->kept)
        f->handle = lane->handle;
    return f;
}

static int open_files(struct store_sftp *s, struct parts *p, struct error *err)
{
    for (size_t i = 0; i < p->n_files; i++) {
        if (p->files[i].open)
            continue;
        _cleanup_free_ char *path = sftp_lanes_path(s, p->files[i].name);
        uint32_t id = sftp_wire_begin(p->burst.client, SFTP_OPEN);
        sftp_put_text(&p->burst.client->out, path);
        sftp_put_u32(&p->burst.client->out, SFTP_OPEN_READ);
        sftp_put_attrs(&p->burst.client->out, &(struct sftp_attrs){ 0 });
        sftp_burst_note(&p->burst, id, OPEN, i);
    }
    return sftp_burst_wait(&p->burst, take_answer, p, err);
}

static int read_parts(struct parts *p, struct error *err)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct store_part *part = &p->wanted[i];
        for (size_t at = 0, step = 0; p->file_of[i]->open && at < part->n && step < STEPS_MAX; at += STEP, step++) {
            uint32_t id = sftp_wire_begin(p->burst.client, SFTP_READ);
            sftp_wire_put_handle(p->burst.client, &p->file_of[i]->handle);
            sftp_put_u64(&p->burst.client->out, part->offset + at);
            sftp_put_u32(&p->burst.client->out, part->n - at < STEP ? (uint32_t)(part->n - at) : STEP);
            sftp_burst_note(&p->burst, id, READ, i * STEPS_MAX + step);
        }
    }
    return sftp_burst_wait(&p->burst, take_answer, p, err);
}

// The file named last stays open: whoever asked for its ends will want what lies between.
static void keep_last(struct parts *p, struct sftp_lane_slot *lane)
{
    for (size_t i = 0; i < p->n_files; i++) {
        struct file *f = &p->files[i];
        if (!f->open || f->kept)
            continue;
        if (i + 1 < p->n_files) {
            sftp_close_later(lane->client, &f->handle);
            continue;
        }
        sftp_lanes_close_file(lane);
        lane->open_name = xstrdup(f->name);
        lane->handle = f->handle;
    }
}

static int do_get_parts(struct store_sftp *s, struct sftp_lane_slot *lane, void *arg, bool again, struct error *err)
{
    struct parts *p = arg;
    (void)again;
    p->burst = (struct sftp_burst){ .client = lane->client };
    p->n_files = 0;
    for (size_t i = 0; i < p->n; i++) {
        p->got[i] = 0;
        p->file_of[i] = file_of(p, lane, p->wanted[i].name);
    }
    int r = open_files(s, p, err);
    if (r == 0)
        r = read_parts(p, err);
    if (r == 0)
        keep_last(p, lane);
    sftp_burst_done(&p->burst);
    return r;
}

int store_sftp_get_parts(struct store *s, struct store_part *parts, size_t n, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = store_check_name(s, parts[i].name, err);
    struct parts *p = xcalloc(1, sizeof *p);
    p->file_of = xcalloc(n + 1, sizeof *p->file_of);
    p->got = xcalloc(n + 1, sizeof *p->got);
    for (size_t first = 0; r == 0 && first < n; first += p->n) {
        p->wanted = parts + first;
        p->n = n - first < FILES_AT_ONCE ? n - first : FILES_AT_ONCE;
        r = sftp_lanes_run(s, NULL, do_get_parts, p, err);
        for (size_t i = 0; i < p->n; i++)
            p->wanted[i].read = r == 0 && p->got[i] == p->wanted[i].n;
    }
    free(p->file_of);
    free(p->got);
    free(p);
    return r;
}
