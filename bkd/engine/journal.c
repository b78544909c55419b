#include "bkd/engine/journal.h"

#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"

#define NAME "journal"
enum { BUFFER = 256 << 10, SEAL = 32, PIECE_RECORD = 32 + 4 + 8 + 8, OBJECT_RECORD = 4 + 32 + 8 + 4 + 32 + SEAL };

// Record: length (4, of what follows the kind), kind (1), content. Kinds: 'e' entry (previous_record), 'p' piece (hash, place),
// 'o' object (number, hash, stored size, size and hash of its opening, seal). A seal is the HMAC of the running SHA-256 of all records since the seal before, with its own
// first fields: records are good only in the order and the number in which they were written.
struct journal {
    const struct io *io;
    int dirfd, fd;
    uint8_t key[SEALED_KEY_SIZE];
    uint8_t last_seal[SEAL];
    struct crypto_sha256 hash;
    struct buf out;
    uint64_t size;
};

static void seal_of(const struct journal *j, const uint8_t digest[32], uint8_t ret_seal[SEAL])
{
    uint8_t message[32 + SEAL];
    memcpy(message, digest, 32);
    memcpy(message + 32, j->last_seal, SEAL);
    crypto_hmac_sha256(j->key, sizeof j->key, message, sizeof message, ret_seal);
}

// Begins a record, whose content is then added to j->out. Returns its start, for end_record.
static size_t begin_record(struct journal *j, char kind)
{
    size_t start = j->out.len;
    (void)buf_extend(&j->out, 4); // its length
    buf_add_char(&j->out, kind);
    return start;
}

static int end_record(struct journal *j, size_t start, struct error *err)
{
    char kind = (char)j->out.data[start + 4];
    put_u32le(j->out.data + start, (uint32_t)(j->out.len - start - 5));
    if (kind != 'o')
        crypto_sha256_update(&j->hash, j->out.data + start, j->out.len - start);
    if (j->out.len < BUFFER && kind != 'o')
        return 0;
    int r = io_pwrite_all(j->io, j->fd, j->out.data, j->out.len, j->size, NAME, err);
    j->size += j->out.len;
    buf_reset(&j->out);
    return r;
}

static int add_record(struct journal *j, char kind, const void *data, size_t n, struct error *err)
{
    size_t start = begin_record(j, kind);
    buf_add(&j->out, data, n);
    return end_record(j, start, err);
}

int journal_add_entry(struct journal *j, const struct manifest_entry *entry, const struct scan_stat *stat, bool racy, const char *line, size_t n,
                      struct error *err)
{
    size_t start = begin_record(j, 'e');
    previous_record(&j->out, (const char *)entry->path.data, entry->path.len, stat, racy, line, n);
    return end_record(j, start, err);
}

int journal_add_piece(struct journal *j, const uint8_t sha256[32], const struct place *place, struct error *err)
{
    uint8_t record[PIECE_RECORD];
    memcpy(record, sha256, 32);
    put_u32le(record + 32, place->object);
    put_u64le(record + 36, place->offset);
    put_u64le(record + 44, place->length);
    return add_record(j, 'p', record, sizeof record, err);
}

static void put_object(uint8_t record[OBJECT_RECORD], const struct format_ref *object)
{
    put_u32le(record, object->object);
    memcpy(record + 4, object->sha256, 32);
    put_u64le(record + 36, object->stored_size);
    put_u32le(record + 44, object->opening_size);
    memcpy(record + 48, object->opening_sha256, 32);
}

static void get_object(const uint8_t *record, struct format_ref *ret_object)
{
    *ret_object = (struct format_ref){ .object = get_u32le(record), .stored_size = get_u64le(record + 36), .opening_size = get_u32le(record + 44) };
    memcpy(ret_object->sha256, record + 4, 32);
    memcpy(ret_object->opening_sha256, record + 48, 32);
}

int journal_commit_object(struct journal *j, const struct format_ref *object, struct error *err)
{
    uint8_t record[OBJECT_RECORD], digest[32];
    put_object(record, object);
    crypto_sha256_update(&j->hash, record, OBJECT_RECORD - SEAL);
    crypto_sha256_final(&j->hash, digest);
    seal_of(j, digest, record + OBJECT_RECORD - SEAL);
    memcpy(j->last_seal, record + OBJECT_RECORD - SEAL, SEAL);
    return add_record(j, 'o', record, sizeof record, err);
}

// Reading what an earlier run left.
struct reader {
    struct journal *j;
    struct buf window;
    size_t at;
    uint64_t offset; // of the window's end
};

// The next record, false at the end or where it is torn.
static bool next_record(struct reader *rd, char *ret_kind, const uint8_t **ret_data, size_t *ret_n)
{
    for (int pass = 0; pass < 2; pass++) {
        size_t left = rd->window.len - rd->at;
        const uint8_t *p = rd->window.data + rd->at;
        size_t need = left < 5 ? 5 : 5 + (size_t)get_u32le(p);
        if (left >= need) {
            *ret_kind = (char)p[4];
            *ret_data = p + 5;
            *ret_n = need - 5;
            rd->at += need;
            return true;
        }
        if (pass == 1 || need > SPILL_RECORD_MAX)
            return false;
        if (left > 0)
            memmove(rd->window.data, p, left);
        rd->window.len = left;
        rd->at = 0;
        struct error ignored; // an unreadable journal is a short one
        size_t want = SPILL_RECORD_MAX, got = 0;
        if (io_pread_full(rd->j->io, rd->j->fd, buf_extend(&rd->window, want), want, rd->offset, NAME, &got, &ignored) < 0)
            got = 0;
        rd->window.len = left + got;
        rd->offset += got;
    }
    return false;
}

static bool check_object(struct journal *j, const uint8_t *data, size_t n)
{
    uint8_t digest[32], seal[SEAL];
    if (n != OBJECT_RECORD)
        return false;
    crypto_sha256_update(&j->hash, data, OBJECT_RECORD - SEAL);
    crypto_sha256_final(&j->hash, digest);
    seal_of(j, digest, seal);
    if (memcmp(seal, data + OBJECT_RECORD - SEAL, SEAL) != 0)
        return false;
    memcpy(j->last_seal, seal, SEAL);
    return true;
}

// First pass: how far the journal is valid.
static uint64_t find_valid_end(struct journal *j, const struct journal_replay *replay)
{
    struct reader rd = { .j = j };
    uint64_t end = 0;
    uint8_t last_good[SEAL];
    memcpy(last_good, j->last_seal, SEAL);
    char kind;
    const uint8_t *data;
    size_t n;
    while (next_record(&rd, &kind, &data, &n)) {
        if (kind != 'o') {
            crypto_sha256_update(&j->hash, data - 5, n + 5);
            continue;
        }
        if (!check_object(j, data, n))
            break;
        struct format_ref object;
        get_object(data, &object);
        if (replay->object != NULL && !replay->object(replay->arg, &object))
            break;
        end = rd.offset - (rd.window.len - rd.at);
        memcpy(last_good, j->last_seal, SEAL);
    }
    buf_done(&rd.window);
    memcpy(j->last_seal, last_good, SEAL);
    uint8_t ignored[32];
    crypto_sha256_final(&j->hash, ignored); // what was hashed behind the valid end is forgotten
    return end;
}

static int replay_records(struct journal *j, const struct journal_replay *replay, uint64_t end, struct error *err)
{
    struct reader rd = { .j = j };
    char kind;
    const uint8_t *data;
    size_t n;
    int r = 0;
    while (r == 0 && rd.offset - (rd.window.len - rd.at) < end && next_record(&rd, &kind, &data, &n)) {
        if (kind == 'e' && replay->entries != NULL)
            r = spill_add(replay->entries, data, n, err);
        if (kind == 'p' && replay->piece != NULL && n == PIECE_RECORD) {
            struct place place = { .object = get_u32le(data + 32), .offset = get_u64le(data + 36), .length = get_u64le(data + 44) };
            r = replay->piece(replay->arg, data, &place, err);
        }
    }
    buf_done(&rd.window);
    return r;
}

int journal_open(const struct io *io, int dirfd, const uint8_t key[SEALED_KEY_SIZE], const struct journal_replay *replay, struct journal **ret_journal,
                 struct error *err)
{
    struct journal *j = xcalloc(1, sizeof *j);
    *j = (struct journal){ .io = io, .dirfd = dirfd, .fd = -1 };
    memcpy(j->key, key, sizeof j->key);
    crypto_sha256_init(&j->hash);
    int r = io_open(io, dirfd, NAME, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &j->fd, err);
    if (r == 0) {
        j->size = find_valid_end(j, replay);
        r = replay_records(j, replay, j->size, err);
    }
    if (r == 0)
        r = io_truncate(io, j->fd, j->size, NAME, err);
    if (r < 0) {
        journal_close(j);
        return r;
    }
    *ret_journal = j;
    return 0;
}

void journal_close(struct journal *j)
{
    if (j == NULL)
        return;
    io_close_quietly(j->io, &j->fd);
    crypto_sha256_done(&j->hash);
    buf_done(&j->out);
    free(j);
}

void journal_remove(struct journal *j)
{
    (void)j->io->unlinkat(j->io, j->dirfd, NAME, 0); // a journal left over tells only of objects the snapshot has anyway
}
