#include "bkd/store/sftp_burst.h"

void sftp_burst_note(struct sftp_burst *b, uint32_t id, unsigned what, size_t index)
{
    struct sftp_burst_owed owed = { .id = id, .what = what, .index = index };
    sftp_wire_end(b->client);
    buf_add(&b->owed, &owed, sizeof owed);
}

void sftp_burst_path(struct sftp_burst *b, enum sftp_type type, const char *path, unsigned what, size_t index)
{
    uint32_t id = sftp_wire_begin(b->client, type);
    sftp_put_text(&b->client->out, path);
    sftp_burst_note(b, id, what, index);
}

void sftp_burst_handle(struct sftp_burst *b, enum sftp_type type, const struct sftp_handle *handle, unsigned what, size_t index)
{
    uint32_t id = sftp_wire_begin(b->client, type);
    sftp_wire_put_handle(b->client, handle);
    sftp_burst_note(b, id, what, index);
}

// Most servers answer in order: then it is the first that is left.
static int take_owed(struct sftp_burst *b, uint32_t id, struct sftp_burst_owed *ret_owed, struct error *err)
{
    struct sftp_burst_owed *owed = (struct sftp_burst_owed *)(void *)b->owed.data;
    size_t n = b->owed.len / sizeof *owed;
    for (size_t i = b->answered; i < n; i++)
        if (owed[i].id == id) {
            *ret_owed = owed[i];
            owed[i] = owed[b->answered++];
            return 0;
        }
    return error_set(err, ERROR_FORMAT, "the server answers a request that was not made");
}

static int take_answer(struct sftp_burst *b, sftp_burst_answer_fn *answer, void *arg, bool *ret_got, struct error *err)
{
    struct sftp_message message;
    struct sftp_burst_owed owed = { 0 };
    int r = sftp_wire_take(b->client, &message, ret_got, err);
    if (r < 0 || !*ret_got)
        return r;
    r = take_owed(b, message.id, &owed, err);
    return r < 0 ? r : answer(arg, owed.what, owed.index, &message, err);
}

int sftp_burst_wait(struct sftp_burst *b, sftp_burst_answer_fn *answer, void *arg, struct error *err)
{
    int r = 0;
    while (r == 0 && b->answered < b->owed.len / sizeof(struct sftp_burst_owed)) {
        bool got = false, moved = false;
        r = take_answer(b, answer, arg, &got, err);
        if (r == 0 && !got)
            r = sftp_wire_move(b->client, &moved, err);
        if (r == 0 && !got && !moved)
            r = sftp_wire_wait(&b->client, 1, -1, err);
    }
    buf_reset(&b->owed);
    b->answered = 0;
    return r;
}

void sftp_burst_done(struct sftp_burst *b) { buf_done(&b->owed); }
