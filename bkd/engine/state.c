#include "bkd/engine/state.h"

#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/base/fs.h"
#include "bkd/repo/place.h"

static int read_or_make_key(struct state *s, bool make, struct error *err)
{
    _cleanup_buf_ struct buf key = { 0 };
    int r = fs_read_file(s->io, s->dirfd, "key", 64, &key, err);
    if (r == 0 && key.len == sizeof s->key) {
        memcpy(s->key, key.data, sizeof s->key);
        return 0;
    }
    if ((r < 0 && r != ERROR_NOT_FOUND && r != ERROR_FORMAT) || !make)
        return r < 0 ? r : error_set(err, ERROR_INTEGRITY, "the local key is damaged");
    // A damaged key makes all caches fail their seals: the next backup reads everything, which is what is wanted then.
    io_random(s->io, s->key, sizeof s->key);
    return fs_replace_file(s->io, s->dirfd, "key", 0600, s->key, sizeof s->key, err);
}

// "NUMBER SHA256 REPOSITORY\n"; a damaged file is an error, since a missing pin means less safety.
static int read_pin(const struct state *s, const char *name, struct state_pin *ret_pin, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    int r = fs_read_file(s->io, s->dirfd, name, 256, &text, err);
    if (r == ERROR_NOT_FOUND)
        return 0;
    if (r < 0)
        return r;
    const char *p = buf_str(&text), *space = strchr(p, ' ');
    struct state_pin pin = { .is_set = true };
    if (space == NULL || text.len != (size_t)(space - p) + 1 + 64 + 1 + 32 + 1 || !parse_u64(p, (size_t)(space - p), UINT64_MAX, &pin.number) ||
        !parse_hex(space + 1, 64, pin.sha256, sizeof pin.sha256) || !parse_hex(space + 66, 32, pin.repository, sizeof pin.repository))
        return error_set(err, ERROR_INTEGRITY, "the local state file '%s' is damaged; remove it to go on with what the repository says", name);
    *ret_pin = pin;
    return 0;
}

static int read_chain(struct state *s, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    int r = fs_read_file(s->io, s->dirfd, "chain", 256, &text, err);
    if (r == ERROR_NOT_FOUND)
        return 0;
    if (r == 0 && (text.len != 33 || !parse_hex(buf_str(&text), 32, s->chain, sizeof s->chain)))
        r = error_set(err, ERROR_INTEGRITY, "the local state file 'chain' is damaged; remove it to go on with what the repository says");
    s->has_chain = r == 0;
    return r;
}

static int read_objects(struct state *s, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    uint64_t objects = 0;
    int r = fs_read_file(s->io, s->dirfd, "objects", 64, &text, err);
    if (r == ERROR_NOT_FOUND)
        return 0;
    if (r == 0 && (text.len < 2 || !parse_u64(buf_str(&text), text.len - 1, PLACE_OBJECT_MAX, &objects)))
        r = error_set(err, ERROR_INTEGRITY, "the local state file 'objects' is damaged; remove the policy's state directory to go on with what the repository says");
    s->objects = (uint32_t)objects;
    return r;
}

int state_reserve_objects(struct state *s, uint32_t objects, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    buf_addf(&text, "%u\n", objects);
    int r = fs_replace_file(s->io, s->dirfd, "objects", 0600, text.data, text.len, err);
    if (r == 0)
        s->objects = objects;
    return r;
}

void state_cache_key(const struct state *s, const uint8_t repository[16], const uint8_t chain[16], uint8_t ret_key[SEALED_KEY_SIZE])
{
    uint8_t message[32];
    memcpy(message, repository, 16);
    memcpy(message + 16, chain, 16);
    crypto_hmac_sha256(s->key, sizeof s->key, message, sizeof message, ret_key);
}

static int open_all(const struct io *io, const char *state_dir, const char *policy, bool make, struct state *ret_state, struct error *err)
{
    struct state s = { .io = io, .dirfd = -1, .lock_fd = -1 };
    _cleanup_free_ char *path = xasprintf("%s/policies/%s", state_dir, policy);
    int r = make ? fs_make_dirs(io, AT_FDCWD, path, 0700, err) : 0;
    if (r == 0)
        r = io_open(io, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, &s.dirfd, err);
    if (r == 0 && make)
        r = fs_lock(io, s.dirfd, "lock", &s.lock_fd, err);
    if (r == 0)
        r = read_or_make_key(&s, make, err);
    if (r == 0)
        r = read_chain(&s, err);
    if (r == 0)
        r = read_pin(&s, "pin", &s.pin, err);
    if (r == 0)
        r = read_pin(&s, "pending", &s.pending, err);
    if (r == 0)
        r = read_objects(&s, err);
    if (r < 0) {
        state_close(&s);
        return error_prefix(err, "state directory '%s'", path);
    }
    *ret_state = s;
    return 0;
}

int state_open(const struct io *io, const char *state_dir, const char *policy, struct state *ret_state, struct error *err)
{
    return open_all(io, state_dir, policy, true, ret_state, err);
}

int state_open_readonly(const struct io *io, const char *state_dir, const char *policy, struct state *ret_state, struct error *err)
{
    return open_all(io, state_dir, policy, false, ret_state, err);
}

void state_close(struct state *s)
{
    if (s->io == NULL)
        return;
    io_close_quietly(s->io, &s->lock_fd);
    io_close_quietly(s->io, &s->dirfd);
    s->io = NULL;
}

int state_set_chain(struct state *s, const uint8_t chain[16], struct error *err)
{
    char text[34];
    format_hex(text, chain, 16);
    text[32] = '\n';
    int r = fs_replace_file(s->io, s->dirfd, "chain", 0600, text, 33, err);
    if (r == 0) {
        memcpy(s->chain, chain, 16);
        s->has_chain = true;
    }
    return r;
}

static int write_pin(struct state *s, const char *name, const struct state_pin *pin, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    buf_add_u64(&text, pin->number);
    buf_add_char(&text, ' ');
    buf_add_hex(&text, pin->sha256, sizeof pin->sha256);
    buf_add_char(&text, ' ');
    buf_add_hex(&text, pin->repository, sizeof pin->repository);
    buf_add_char(&text, '\n');
    return fs_replace_file(s->io, s->dirfd, name, 0600, text.data, text.len, err);
}

int state_set_pending(struct state *s, const struct state_pin *pin, struct error *err)
{
    int r = write_pin(s, "pending", pin, err);
    if (r == 0)
        s->pending = *pin;
    return r;
}

int state_set_pin(struct state *s, const struct state_pin *pin, struct error *err)
{
    int r = write_pin(s, "pin", pin, err);
    if (r == 0)
        s->pin = *pin;
    return r;
}
