#include "tests/restore/fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/crypto.h"
#include "bkd/base/fs.h"
#include "bkd/codec/sshsig.h"

#define CHECK(call) \
    do { \
        if ((call) < 0) \
            fail_msg("%s: %s", #call, err.text); \
    } while (0)

void fixture_run(const char *format, ...)
{
    char command[4096];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(command, sizeof command, format, args);
    va_end(args);
    int rc = system(command);
    if (rc != 0)
        fail_msg("'%s' ended with %d", command, rc);
}

char *fixture_path(const struct fixture *f, const char *name) { return xasprintf("%s/%s", f->dir, name); }

static int object_finished(void *arg, const struct format_ref *object, struct error *err)
{
    struct fixture *f = arg;
    (void)err;
    f->refs.refs = xrealloc(f->refs.refs, (f->refs.n + 1) * sizeof *f->refs.refs);
    f->refs.refs[f->refs.n] = *object;
    f->refs.refs[f->refs.n++].used = 1;
    return 0;
}

// With its threads running nothing is restored: the process that decodes is forked then, and a sanitizer's locks do not survive a fork beside threads.
static struct object_writer *writer(struct fixture *f)
{
    struct error err = { 0 };
    struct object_writer_options options = {
        .store = f->store,
        .recipients = &f->identity.recipient,
        .n_recipients = f->encrypted ? 1 : 0,
        .level = 1,
        .jobs = 2,
        .object_size = f->object_size,
        .first_object = f->refs.n == 0 ? 1 : f->refs.refs[f->refs.n - 1].object + 1,
        .finished = object_finished,
        .arg = f,
    };
    memcpy(options.repository, f->info.id, 16);
    memcpy(options.chain, f->chain, 16);
    if (f->writer == NULL)
        CHECK(object_writer_new(io_real(), &options, &f->writer, &err));
    return f->writer;
}

static void close_writer(struct fixture *f)
{
    object_writer_free(f->writer);
    f->writer = NULL;
}

void fixture_init(struct fixture *f, bool encrypted)
{
    struct error err = { 0 };
    struct sshkey key;
    *f = (struct fixture){ .dir = "/tmp/bkd-test-XXXXXX", .encrypted = encrypted, .object_size = 8 << 20 };
    assert_non_null(mkdtemp(f->dir));
    f->repo = fixture_path(f, "repo");
    sshkey_new(io_real(), &key);
    sshkey_format(io_real(), &key, "test", &f->key);
    struct buf line = { 0 };
    sshkey_public_format(key.public_key, NULL, &line);
    f->signers = xasprintf("bkd %s\n", buf_str(&line));
    buf_done(&line);
    age_identity_new(io_real(), &f->identity);
    f->info = (struct format_repository){
        .created_ns = UINT64_C(1700000000) * 1000000000, .encrypted = encrypted, .piece_size = 16777216, .object_size = 134217728
    };
    memset(f->info.id, 0x11, 16);
    memset(f->chain, 0x22, 16);
    memcpy(f->refs.chain, f->chain, 16);
    CHECK(store_open(io_real(), f->repo, NULL, true, &f->store, &err));
    CHECK(repository_create(io_real(), f->store, &f->info, (const char *)f->key.data, f->key.len, "#!/bin/sh\n", "by hand\n", &err));
}

void fixture_object_size(struct fixture *f, uint64_t size)
{
    f->object_size = size;
    close_writer(f);
}

void fixture_done(struct fixture *f)
{
    close_writer(f);
    store_close(f->store);
    // Directories that were restored without permissions must not keep the rest.
    fixture_run("chattr -R -ia '%s' 2>/dev/null; chmod -R u+rwX '%s' 2>/dev/null; rm -rf '%s'", f->dir, f->dir, f->dir);
    free(f->repo);
    free(f->signers);
    buf_done(&f->key);
    buf_done(&f->manifest);
    format_refs_done(&f->refs);
}

void fixture_line(struct fixture *f, const char *format, ...)
{
    char *line = NULL;
    va_list args;
    va_start(args, format);
    assert_true(vasprintf(&line, format, args) > 0);
    va_end(args);
    buf_add_str(&f->manifest, line);
    buf_add_char(&f->manifest, '\n');
    f->entries++;
    free(line);
}

void fixture_dir(struct fixture *f, const char *path, unsigned mode)
{
    fixture_line(f, "%s d mode=%04o uid=%u gid=%u mtime=%d.000000007", path, mode, (unsigned)geteuid(), (unsigned)getegid(),
                 FIXTURE_MTIME_S);
}

struct place fixture_member(struct fixture *f, const char *kind, const void *data, size_t n)
{
    struct error err = { 0 };
    struct place place;
    CHECK(object_writer_add(writer(f), kind, data, n, &place, &err));
    return place;
}

static char *hex_of(const void *data, size_t n)
{
    uint8_t sha256[32];
    struct buf hex = { 0 };
    crypto_sha256(data, n, sha256);
    buf_add_hex(&hex, sha256, 32);
    return buf_take_str(&hex);
}

static void add_file(struct fixture *f, const char *path, unsigned mode, const char *middle, const void *data, size_t n)
{
    char *hex = hex_of(data, n);
    struct buf at = { 0 };
    if (n > 0) {
        struct place place = fixture_member(f, "whole", data, n);
        buf_add_str(&at, " at=");
        place_format(&at, &place);
    }
    fixture_line(f, "%s f mode=%04o uid=%u gid=%u mtime=%d.123456789 size=%zu%s%s sha256=%s%s", path, mode, (unsigned)geteuid(),
                 (unsigned)getegid(), FIXTURE_MTIME_S, n, *middle != '\0' ? " " : "", middle, hex, buf_str(&at));
    f->files++;
    f->bytes += n;
    buf_done(&at);
    free(hex);
}

void fixture_file(struct fixture *f, const char *path, unsigned mode, const void *data, size_t n) { add_file(f, path, mode, "", data, n); }
void fixture_file_with(struct fixture *f, const char *path, const char *middle, const void *data, size_t n)
{
    add_file(f, path, 0644, middle, data, n);
}

static struct place write_recipe(struct fixture *f, const struct recipe *r)
{
    struct buf text = { 0 };
    recipe_format(&text, r);
    struct place place = fixture_member(f, "recipe", text.data, text.len);
    buf_done(&text);
    return place;
}

// Pieces: the first whole, the others as ranges of two members and a run of zeros where the data ends in zeros.
static void add_piece(struct fixture *f, struct recipe *r, const uint8_t *data, uint32_t n, bool whole)
{
    struct recipe_piece *p = recipe_add_piece(r);
    p->length = n;
    crypto_sha256(data, n, p->sha256);
    if (whole) {
        p->kind = RECIPE_WHOLE;
        p->member = fixture_member(f, "whole", data, n);
        return;
    }
    uint32_t zeros = 0;
    while (zeros < n - 2 && data[n - 1 - zeros] == 0)
        zeros++;
    uint32_t stored = n - zeros, half = stored / 2;
    p->kind = RECIPE_DELTA;
    if (!r->has_base) { // any base: only recovery by hand looks at it
        r->has_base = true;
        r->chain = 2;
        r->base = fixture_member(f, "recipe", "base", 4);
    }
    p->ranges = xcalloc(3, sizeof *p->ranges);
    p->ranges[1] = fixture_member(f, "delta", data + half, stored - half); // the second half comes first in the object
    p->ranges[0] = fixture_member(f, "delta", data, half);
    p->member = p->ranges[0];
    p->n_ranges = 2;
    if (zeros > 0)
        p->ranges[p->n_ranges++] = (struct place){ 0, 0, zeros };
}

void fixture_version(struct fixture *f, const char *path, const void *data, size_t n, uint64_t hole)
{
    _cleanup_recipe_ struct recipe r = { .size = n + hole, .chain = 1, .has_sha256 = !f->unhashed };
    const uint8_t *bytes = data;
    struct crypto_sha256 hash;
    uint8_t zeros[4096] = { 0 };
    memset(r.id, 0x33, 16);
    crypto_sha256_init(&hash);
    crypto_sha256_update(&hash, data, n);
    for (uint64_t i = 0; i < hole; i += sizeof zeros)
        crypto_sha256_update(&hash, zeros, hole - i < sizeof zeros ? (size_t)(hole - i) : sizeof zeros);
    crypto_sha256_final(&hash, r.sha256);
    crypto_sha256_done(&hash);
    if (f->forged_sha256 != NULL)
        memcpy(r.sha256, f->forged_sha256, 32);
    assert_true(hole == 0 || n % RECIPE_PIECE_SIZE == 0);
    for (size_t at = 0; at < n; at += RECIPE_PIECE_SIZE)
        add_piece(f, &r, bytes + at, n - at < RECIPE_PIECE_SIZE ? (uint32_t)(n - at) : RECIPE_PIECE_SIZE, at == 0 && n > RECIPE_PIECE_SIZE);
    for (uint64_t at = 0; at < hole; at += RECIPE_PIECE_SIZE) {
        struct recipe_piece *p = recipe_add_piece(&r);
        p->kind = RECIPE_HOLE;
        p->length = hole - at < RECIPE_PIECE_SIZE ? (uint32_t)(hole - at) : RECIPE_PIECE_SIZE;
        _cleanup_free_ char *zero = xcalloc(1, p->length);
        crypto_sha256(zero, p->length, p->sha256);
    }
    for (const struct recipe_extent *e = f->extents; e != NULL && e->length > 0; e++)
        recipe_add_extent(&r, e->offset, e->length);
    if (hole > 0 && f->extents == NULL)
        recipe_add_extent(&r, n > 0 ? 0 : r.size, n);
    struct place place = write_recipe(f, &r);
    struct buf text = { 0 }, hex = { 0 };
    place_format(&text, &place);
    buf_add_hex(&hex, r.sha256, 32);
    fixture_line(f, "%s f mode=0640 uid=%u gid=%u mtime=%d.000000001 size=%llu%s%s version=%s%s%s", path, (unsigned)geteuid(), (unsigned)getegid(), FIXTURE_MTIME_S,
                 (unsigned long long)r.size, f->unhashed ? "" : " sha256=", f->unhashed ? "" : buf_str(&hex), buf_str(&text), f->note == NULL ? "" : " note=",
                 f->note == NULL ? "" : f->note);
    f->files++;
    f->bytes += r.size;
    buf_done(&text);
    buf_done(&hex);
}

static struct place write_manifest(struct fixture *f, struct format_head *head)
{
    _cleanup_recipe_ struct recipe r = { .size = f->manifest.len, .chain = 1, .has_sha256 = true };
    memset(r.id, (int)(0x40 + f->number), 16);
    crypto_sha256(f->manifest.data, f->manifest.len, r.sha256);
    for (size_t at = 0; at < f->manifest.len; at += RECIPE_PIECE_SIZE) {
        size_t n = f->manifest.len - at < RECIPE_PIECE_SIZE ? f->manifest.len - at : RECIPE_PIECE_SIZE;
        add_piece(f, &r, f->manifest.data + at, (uint32_t)n, true);
    }
    // An index of every hundredth line, so that selections by path meet several parts.
    const char *line = (const char *)f->manifest.data;
    for (size_t i = 0; line < (const char *)f->manifest.data + f->manifest.len; i++) {
        struct buf raw = { 0 };
        if (i % 100 == 0 && manifest_unescape(&raw, line, strcspn(line, " ")))
            recipe_add_index(&r, (uint64_t)(line - (const char *)f->manifest.data), buf_str(&raw), raw.len);
        buf_done(&raw);
        line = strchr(line, '\n');
        if (line++ == NULL)
            break;
    }
    struct buf text = { 0 };
    recipe_format(&text, &r);
    head->manifest = fixture_member(f, "recipe", text.data, text.len);
    crypto_sha256(text.data, text.len, head->recipe_sha256);
    memcpy(head->manifest_sha256, r.sha256, 32);
    head->manifest_size = r.size;
    buf_done(&text);
    return head->manifest;
}

// What is stored takes the names of objects that were signed.
static void exchange_objects(struct fixture *f)
{
    for (size_t i = 0; i < f->refs.n; i++) {
        _cleanup_free_ char *from = format_object_name(f->refs.refs[i].sha256, f->encrypted);
        f->refs.refs[i].sha256[31] ^= 1; // the same folder
        _cleanup_free_ char *to = format_object_name(f->refs.refs[i].sha256, f->encrypted);
        fixture_run("mv '%s/%s' '%s/%s'", f->repo, from, f->repo, to);
    }
}

void fixture_commit(struct fixture *f)
{
    struct error err = { 0 };
    struct format_head head = {
        .number = ++f->number, .time_ns = UINT64_C(1700000000) * 1000000000, .files = f->files, .entries = f->entries, .bytes = f->bytes
    };
    memcpy(head.repository, f->info.id, 16);
    memcpy(head.chain, f->chain, 16);
    memcpy(head.previous, f->previous, 32);
    strcpy(head.host, "host");
    strcpy(head.policy, "test");
    (void)write_manifest(f, &head);
    head.next_object = object_writer_next_object(writer(f));
    CHECK(object_writer_finish(writer(f), &err));
    close_writer(f);
    if (f->exchanged)
        exchange_objects(f);
    if (f->extra.object != 0) {
        f->refs.refs = xrealloc(f->refs.refs, (f->refs.n + 1) * sizeof *f->refs.refs);
        f->refs.refs[f->refs.n++] = f->extra;
        head.next_object = f->extra.object + 1;
    }
    struct buf refs = { 0 }, text = { 0 };
    format_refs_write(&refs, &f->refs);
    crypto_sha256(refs.data, refs.len, head.refs);
    head.refs_size = refs.len;
    char *name = format_refs_name(head.refs);
    CHECK(f->store->ops->put(f->store, name, refs.data, refs.len, &err));
    free(name);
    char recipient[AGE_RECIPIENT_TEXT_SIZE];
    age_recipient_format(&f->identity.recipient, recipient);
    if (f->encrypted)
        head.recipients[head.n_recipients++] = xstrdup(recipient);
    format_head_write(&text, &head);
    struct sshkey key;
    CHECK(sshkey_parse(f->key.data, f->key.len, &key, &err));
    struct buf armor = { 0 };
    sshsig_sign(&key, FORMAT_NAMESPACE_HEAD, text.data, text.len, &armor);
    buf_add(&text, armor.data, armor.len);
    crypto_sha256(text.data, text.len, f->previous);
    name = format_head_name(f->chain, f->number);
    CHECK(f->store->ops->put(f->store, name, text.data, text.len, &err));
    free(name);
    format_head_done(&head);
    buf_done(&refs);
    buf_done(&text);
    buf_done(&armor);
    buf_reset(&f->manifest);
    f->files = f->entries = f->bytes = 0;
}

static int open_repository(struct fixture *f, struct repository **ret_repository, struct error *err)
{
    struct store *store;
    int r = store_open(io_real(), f->repo, NULL, false, &store, err);
    return r < 0 ? r : repository_open(io_real(), store, f->signers, ret_repository, err);
}

struct repository *fixture_open(struct fixture *f)
{
    struct error err = { 0 };
    struct repository *repository;
    CHECK(open_repository(f, &repository, &err));
    return repository;
}

char *fixture_noise(size_t n, unsigned seed)
{
    char *data = xmalloc(n);
    uint64_t x = 88172645463325252u + seed;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        data[i] = (char)(uint8_t)x;
    }
    return data;
}

void fixture_expect(struct fixture *f, const char *name, const struct run_options *options, struct report *ret_report, int expected)
{
    struct error err;
    int r = fixture_restore(f, name, options, ret_report, &err);
    if (r != expected)
        fail_msg("restore ended with %d instead of %d: %s", r, expected, err.text);
}

int fixture_restore(struct fixture *f, const char *name, const struct run_options *options, struct report *ret_report, struct error *err)
{
    return fixture_restore_io(f, io_real(), name, options, ret_report, err);
}

int fixture_restore_io(struct fixture *f, const struct io *io, const char *name, const struct run_options *options, struct report *ret_report,
                       struct error *err)
{
    struct run_options o = options != NULL ? *options : (struct run_options){ 0 };
    struct snapshot snapshot = { 0 };
    const struct repository_head *head;
    struct timing timing;
    _cleanup_free_ char *target = fixture_path(f, name);
    _cleanup_repository_ struct repository *repository = NULL;
    mode_t mask = umask(0);
    o.target = target;
    o.quiet = !o.json;
    o.jobs = o.jobs == 0 ? 2 : o.jobs;
    *err = (struct error){ 0 };
    timing_init(&timing, io_real());
    int r = open_repository(f, &repository, err);
    if (r == 0)
        r = repository_find(repository, NULL, "latest", &head, err);
    if (r == 0)
        r = (o.keep_going ? snapshot_open_damaged : snapshot_open)(repository, head, &f->identity, f->encrypted ? 1 : 0, &snapshot, err);
    if (r == 0) {
        r = run_restore(io, &snapshot, &o, &timing, ret_report, err);
        snapshot_done(&snapshot);
    }
    (void)umask(mask);
    return r;
}

void fixture_read(const struct fixture *f, const char *name, struct buf *ret_data)
{
    struct error err = { 0 };
    _cleanup_free_ char *path = fixture_path(f, name);
    CHECK(fs_read_file(io_real(), AT_FDCWD, path, 1 << 30, ret_data, &err));
}

void fixture_assert_content(const struct fixture *f, const char *name, const void *data, size_t n)
{
    _cleanup_buf_ struct buf got = { 0 };
    fixture_read(f, name, &got);
    assert_int_equal(got.len, n);
    assert_true(n == 0 || memcmp(got.data, data, n) == 0);
}

bool fixture_exists(const struct fixture *f, const char *name)
{
    struct stat st;
    _cleanup_free_ char *path = fixture_path(f, name);
    return lstat(path, &st) == 0;
}

char *fixture_object_path(const struct fixture *f, uint32_t object)
{
    const struct format_ref *ref = format_refs_find(&f->refs, object);
    assert_non_null(ref);
    _cleanup_free_ char *name = format_object_name(ref->sha256, f->encrypted);
    return xasprintf("%s/%s", f->repo, name);
}

void fixture_flip(const struct fixture *f, uint32_t object, double where)
{
    _cleanup_free_ char *path = fixture_object_path(f, object);
    struct stat st;
    uint8_t byte;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(chmod(path, 0600), 0);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    off_t at = (off_t)((double)(st.st_size - 1) * where);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(close(fd), 0);
}
