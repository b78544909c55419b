#include "restore/expect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/crypto.h"
#include "bkd/base/work.h"
#include "restore/abilities.h"

#define SECOND 1e9
#define DECODE_S 0.35 // how long each thing is tried at most
#define FILES_S 0.15
#define WRITE_S 0.25

enum { SAMPLE_MAX = 48 << 20, FILES_MAX = 256, WRITE_STEP = 4 << 20, SMALL = 4096 };

// A small restore is not measured for longer than a small part of what it takes.
static uint64_t sample_bytes(const struct plan_totals *t)
{
    uint64_t part = t->bytes / 128;
    return part < WRITE_STEP ? WRITE_STEP : part > SAMPLE_MAX ? SAMPLE_MAX : part;
}

double expect_seconds(const struct expect_rates *r, uint64_t files, uint64_t bytes, uint64_t stored_bytes, unsigned threads)
{
    double n = (double)bytes;
    double work = (n * (r->decode_s_per_byte + r->write_s_per_byte) + (double)files * r->file_s) / (threads > 0 ? threads : 1);
    double disk = n * r->sync_s_per_byte;
    return fmax(work, disk) + (double)stored_bytes * r->authenticate_s_per_byte;
}

struct expect expect_of(const struct expect_rates *rates, const struct snapshot *snapshot, uint64_t files, uint64_t bytes, unsigned threads)
{
    uint64_t stored = 0;
    for (size_t i = 0; i < snapshot->refs.n; i++)
        stored += snapshot->refs.refs[i].stored_size;
    struct expect e = { .rates = *rates, .files = files, .bytes = bytes };
    threads = threads > 0 ? threads : work_processors();
    // Of the objects of a whole snapshot, a part of its files needs a part.
    e.seconds = expect_seconds(rates, files, bytes, stored < bytes ? stored : bytes, threads);
    double byte_s = expect_seconds(rates, 0, 1u << 30, 0, threads) / (1u << 30), file_s = expect_seconds(rates, 1, 0, 0, threads);
    e.bytes_per_second = byte_s > 0 ? 1 / byte_s : 0;
    e.files_per_second = file_s > 0 ? 1 / file_s : 0;
    return e;
}

static double since(const struct io *io, uint64_t start_ns) { return (double)(io_monotonic_ns(io) - start_ns) / SECOND; }

// ---- decoding

struct decoding {
    const struct io *io;
    struct snapshot *snapshot;
    uint32_t object, frame; // the last one
    double seconds, authentication_s;
    uint64_t bytes, authentic_bytes, most_bytes;
    struct buf sample; // of what came out, to be written
};

static uint64_t stored_size(const struct snapshot *s, uint32_t object)
{
    const struct format_ref *ref = format_refs_find(&s->refs, object);
    return ref == NULL ? 0 : ref->stored_size;
}

static void take_frame(struct decoding *d, const struct object_frame *frame)
{
    uint8_t sha256[CRYPTO_SHA256_SIZE];
    crypto_sha256(frame->data, frame->size, sha256);
    d->bytes += frame->size;
    if (d->sample.len < WRITE_STEP)
        buf_add(&d->sample, frame->data, frame->size < WRITE_STEP - d->sample.len ? frame->size : WRITE_STEP - d->sample.len);
}

// Whatever is damaged is told when its file is restored.
static void decode(struct decoding *d, const struct place *place)
{
    struct object_frame frame = { 0 };
    uint32_t number = 0, size = 0;
    uint64_t offset = 0, start = io_monotonic_ns(d->io);
    struct error ignored;
    if (place->object == 0 || object_reader_locate(d->snapshot->reader, place->object, place->offset, &number, &offset, &size, &ignored) < 0)
        return;
    bool first = d->object != place->object;
    if (!first && d->frame == number)
        return;
    if (object_reader_frame(d->snapshot->reader, place->object, number, &frame, &ignored) < 0)
        return;
    // The first frame of an object takes the time of authenticating all of it, unless that was done before.
    if (first) {
        d->authentication_s += since(d->io, start);
        d->authentic_bytes += stored_size(d->snapshot, place->object);
    } else {
        take_frame(d, &frame);
        d->seconds += since(d->io, start);
    }
    object_reader_release(d->snapshot->reader, &frame);
    d->object = place->object;
    d->frame = number;
}

static bool is_enough(const struct decoding *d)
{
    return d->seconds > DECODE_S || d->bytes >= d->most_bytes || (d->authentication_s > DECODE_S && d->bytes > WRITE_STEP);
}

static void decode_recipe(struct decoding *d, const struct manifest_entry *e)
{
    _cleanup_recipe_ struct recipe recipe = { 0 };
    struct error ignored;
    if (snapshot_read_recipe(d->snapshot, &e->version, &recipe, &ignored) < 0)
        return;
    for (size_t i = 0; i < recipe.n_pieces && !is_enough(d); i++) {
        struct place scratch;
        const struct place *ranges;
        size_t n;
        recipe_piece_ranges(&recipe.pieces[i], &scratch, &ranges, &n);
        for (size_t k = 0; k < n && !is_enough(d); k++)
            for (uint64_t at = 0; at < ranges[k].length && !is_enough(d); at += 1 << 20)
                decode(d, &(struct place){ ranges[k].object, ranges[k].offset + at, 1 });
    }
}

static int measure_decoding(struct decoding *d, struct plan *plan, struct error *err)
{
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    uint64_t start = io_monotonic_ns(d->io);
    int r = plan_rewind(plan, err);
    while (r == 0 && !is_enough(d) && since(d->io, start) < 2 * DECODE_S && (r = plan_next(plan, &e, &role, &later, err)) == 0 && e != NULL) {
        if (e->type != MANIFEST_FILE || later || e->size == 0)
            continue;
        if (e->at.length > 0)
            decode(d, &e->at);
        else
            decode_recipe(d, e);
    }
    return r;
}

// ---- writing

static bool make_small_file(const struct io *io, int dirfd, unsigned number, const uint8_t *data)
{
    char part[32], name[32];
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1 } };
    (void)snprintf(part, sizeof part, "part-%u", number);
    (void)snprintf(name, sizeof name, "file-%u", number);
    int fd = io->openat(io, dirfd, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool good = fd >= 0 && io->write(io, fd, data, SMALL) == SMALL && io->fchmod(io, fd, 0644) == 0 &&
                io->utimensat(io, fd, "", times, AT_EMPTY_PATH) == 0;
    io_close_quietly(io, &fd);
    return good && io->renameat2(io, dirfd, part, dirfd, name, 0) == 0;
}

static void measure_files(const struct io *io, int dirfd, const uint8_t *data, unsigned most, struct expect_rates *rates)
{
    uint64_t start = io_monotonic_ns(io);
    unsigned n = 0;
    while (n < most && since(io, start) < FILES_S && make_small_file(io, dirfd, n, data))
        n++;
    rates->file_s = n > 0 ? since(io, start) / n : 0;
}

static void measure_writing(const struct io *io, int dirfd, const struct buf *data, uint64_t most, struct expect_rates *rates)
{
    struct error ignored; // less is measured
    int fd = -1;
    uint64_t bytes = 0, start = io_monotonic_ns(io);
    double written = 0, synced = 0;
    int r = io_open(io, dirfd, "written", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &fd, &ignored);
    while (r == 0 && bytes < most && since(io, start) < WRITE_S) {
        uint64_t step = io_monotonic_ns(io);
        r = io_write_all(io, fd, data->data, data->len, "written", &ignored);
        written += since(io, step);
        step = io_monotonic_ns(io);
        if (r == 0)
            r = io_fsync(io, fd, "written", &ignored);
        synced += since(io, step);
        bytes += r == 0 ? data->len : 0;
    }
    io_close_quietly(io, &fd);
    if (bytes == 0)
        return;
    rates->write_s_per_byte = written / (double)bytes;
    rates->sync_s_per_byte = synced / (double)bytes;
}

static void measure_target(const struct io *io, int target_fd, const struct plan_totals *t, struct buf *data, struct expect_rates *rates)
{
    struct abilities_trial trial;
    struct error ignored;
    if (abilities_begin_trying(io, target_fd, &trial, &ignored) < 0)
        return;
    bool writing = t->bytes > 8 * WRITE_STEP;
    size_t needed = writing ? WRITE_STEP : SMALL;
    // Where little came out, something else serves: only the amount counts.
    if (data->len < needed)
        io_random(io, buf_extend(data, needed - data->len), needed - data->len);
    measure_files(io, trial.fd, data->data, t->files / 8 + 8 < FILES_MAX ? (unsigned)(t->files / 8 + 8) : FILES_MAX, rates);
    if (writing)
        measure_writing(io, trial.fd, data, sample_bytes(t), rates);
    abilities_end_trying(io, &trial);
}

int expect_measure(const struct io *io, struct snapshot *snapshot, struct plan *plan, int target_fd, struct expect_rates *ret_rates,
                   struct error *err)
{
    struct decoding d = { .io = io, .snapshot = snapshot, .most_bytes = sample_bytes(&plan->totals) };
    *ret_rates = (struct expect_rates){ 0 };
    int r = measure_decoding(&d, plan, err);
    if (r == 0) {
        ret_rates->decode_s_per_byte = d.bytes > 0 ? d.seconds / (double)d.bytes : 0;
        ret_rates->authenticate_s_per_byte = d.authentic_bytes > 0 ? d.authentication_s / (double)d.authentic_bytes : 0;
        measure_target(io, target_fd, &plan->totals, &d.sample, ret_rates);
    }
    buf_done(&d.sample);
    return r;
}
