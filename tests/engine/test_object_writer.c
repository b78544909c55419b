// Objects as others see them: age, zstd, tar and sha256sum open what the writer made, and every place holds the bytes it was given for.
#include "tests/codec/scratch.h"

#include <errno.h>
#include <stdatomic.h>

#include "bkd/base/crypto.h"
#include "bkd/engine/object_writer.h"
#include "bkd/repo/format.h"

enum { OBJECT_SIZE = 1 << 20, OBJECTS_MAX = 64, MEMBERS_MAX = 400 };

struct member {
    struct place place;
    uint64_t seed;
    size_t n;
    const char *kind;
};

struct shop {
    struct scratch scratch;
    struct store *store;
    struct io io;
    struct age_identity identities[2];
    struct age_recipient recipients[2];
    struct object_writer_options options;
    struct object_writer *writer;
    struct member members[MEMBERS_MAX];
    size_t n_members;
    uint32_t finished;
    char *names[OBJECTS_MAX]; // of finished objects, by number
    uint64_t sizes[OBJECTS_MAX];
    struct profile profile;
    struct profile_lap lap;
};

static int note_finished(void *arg, const struct format_ref *object, struct error *err)
{
    struct shop *s = arg;
    uint32_t number = object->object;
    (void)err;
    assert_int_equal(number, s->options.first_object + s->finished++);
    assert_true(number < OBJECTS_MAX);
    s->names[number] = format_object_name(object->sha256, s->options.n_recipients > 0);
    s->sizes[number] = object->stored_size;
    assert_true((object->opening_size > 0) == (s->options.n_recipients > 0));
    return 0;
}

static void write_identity(const struct shop *s, size_t i, const char *name)
{
    char text[AGE_IDENTITY_TEXT_SIZE + 1];
    age_identity_format(&s->identities[i], text);
    strcat(text, "\n");
    scratch_write(&s->scratch, name, text, strlen(text));
}

static struct shop *open_shop(size_t recipients)
{
    struct error err;
    struct shop *s = xcalloc(1, sizeof *s);
    s->scratch = scratch_new();
    s->io = *io_real();
    for (size_t i = 0; i < 2; i++) {
        age_identity_new(io_real(), &s->identities[i]);
        s->recipients[i] = s->identities[i].recipient;
    }
    write_identity(s, 0, "id0");
    write_identity(s, 1, "id1");
    _cleanup_free_ char *repo = xasprintf("%s/repo", s->scratch.dir);
    scratch_ok(store_dir_open(&s->io, repo, true, &s->store, &err), &err);
    s->options = (struct object_writer_options){ .store = s->store, .recipients = s->recipients, .n_recipients = recipients, .level = 1, .jobs = 2,
                                                 .object_size = OBJECT_SIZE, .first_object = 5, .finished = note_finished, .arg = s };
    memset(s->options.repository, 0xab, 16);
    memset(s->options.chain, 0xcd, 16);
    profile_begin(&s->lap, &s->profile, &s->io, PROFILE_PLACE);
    s->options.lap = &s->lap;
    scratch_ok(object_writer_new(&s->io, &s->options, &s->writer, &err), &err);
    return s;
}

static void close_shop(struct shop *s)
{
    object_writer_free(s->writer);
    store_close(s->store);
    for (size_t i = 0; i < OBJECTS_MAX; i++)
        free(s->names[i]);
    scratch_done(&s->scratch);
    free(s);
}

// As to a far place: two objects are put at a time.
static struct shop *open_far_shop(void)
{
    struct error err;
    struct shop *s = open_shop(0);
    object_writer_free(s->writer);
    s->store->far = true;
    scratch_ok(object_writer_new(&s->io, &s->options, &s->writer, &err), &err);
    return s;
}

static int setup_far(void **state) { return *state = open_far_shop(), 0; }
static int setup_plain(void **state) { return *state = open_shop(0), 0; }
static int setup_encrypted(void **state) { return *state = open_shop(2), 0; }

static int teardown(void **state)
{
    close_shop(*state);
    return 0;
}

static int try_add(struct shop *s, const char *kind, uint64_t seed, size_t n, struct error *err)
{
    _cleanup_free_ char *data = xmalloc(n + 8);
    uint64_t state = seed * 77 + 1;
    struct member *m = &s->members[s->n_members];
    scratch_fill(&state, (uint8_t *)data, n);
    *m = (struct member){ .seed = seed, .n = n, .kind = kind };
    int r = object_writer_add(s->writer, kind, data, n, &m->place, err);
    if (r == 0) {
        s->n_members++;
        assert_int_equal(m->place.length, n);
        assert_int_equal(m->place.object, object_writer_open_object(s->writer));
    }
    return r;
}

static void add(struct shop *s, const char *kind, uint64_t seed, size_t n)
{
    struct error err;
    assert_true(s->n_members < MEMBERS_MAX);
    scratch_ok(try_add(s, kind, seed, n, &err), &err);
}

static void note(struct shop *s, const char *line)
{
    struct error err;
    scratch_ok(object_writer_note_entry(s->writer, line, strlen(line), &err), &err);
}

static void finish(struct shop *s)
{
    struct error err;
    scratch_ok(object_writer_finish(s->writer, &err), &err);
    assert_int_equal(object_writer_open_object(s->writer), 0);
}

// With the stock tools: object NUMBER becomes tar-NUMBER and its members files in dir-NUMBER.
static void open_object(const struct shop *s, uint32_t number)
{
    const char *name = s->names[number], *dir = s->scratch.dir;
    scratch_run("cd '%s' && test $(stat -c %%s repo/%s) = %llu", dir, name, (unsigned long long)s->sizes[number]);
    scratch_run("cd '%s' && test repo/objects/%.2s/$(sha256sum repo/%s | cut -c1-64).%s = repo/%s", dir, name + 8, name, strchr(name, '.') + 1, name);
    if (s->options.n_recipients > 0) {
        scratch_run("cd '%s' && age -d -i id1 -o zst-%u repo/%s && age -d -i id0 repo/%s | cmp - zst-%u", dir, number, name, name, number);
    } else {
        scratch_run("cd '%s' && cp repo/%s zst-%u", dir, name, number);
    }
    scratch_run("cd '%s' && zstd -q -d -c <zst-%u >tar-%u && mkdir dir-%u && tar -xf tar-%u -C dir-%u", dir, number, number, number, number, number);
    scratch_run("cd '%s' && test $(( $(stat -c %%s tar-%u) %% 512 )) = 0 && tail -c 1024 tar-%u | cmp -n 1024 - /dev/zero", dir, number, number);
    scratch_run("cd '%s' && tar -tvf tar-%u | grep -v -e '^-rw------- 0/0 .* 1970-01-01 ' | (! grep .)", dir, number);
}

static void check_member(const struct shop *s, const struct member *m, unsigned index, const struct buf *tar)
{
    _cleanup_free_ char *data = xmalloc(m->n + 8);
    uint64_t state = m->seed * 77 + 1;
    _cleanup_buf_ struct buf file = { 0 };
    char name[64];
    scratch_fill(&state, (uint8_t *)data, m->n);
    assert_true(m->place.offset + m->place.length <= tar->len);
    assert_true(m->n == 0 || memcmp(tar->data + m->place.offset, data, m->n) == 0);
    (void)snprintf(name, sizeof name, "dir-%u/%08u.%s", m->place.object, index, m->kind);
    scratch_read(&s->scratch, name, &file);
    assert_int_equal(file.len, m->n);
    assert_true(m->n == 0 || memcmp(file.data, data, m->n) == 0);
}

static void check_all(const struct shop *s)
{
    _cleanup_buf_ struct buf tar = { 0 };
    uint32_t open = 0;
    unsigned index = 0;
    for (size_t i = 0; i < s->n_members; i++) {
        const struct member *m = &s->members[i];
        if (m->place.object != open) {
            char name[32];
            assert_int_equal(m->place.object, open == 0 ? s->options.first_object : open + 1);
            open = m->place.object;
            index = 0;
            open_object(s, open);
            (void)snprintf(name, sizeof name, "tar-%u", open);
            buf_reset(&tar);
            scratch_read(&s->scratch, name, &tar);
        }
        check_member(s, m, index++, &tar);
    }
    assert_int_equal(open, s->options.first_object + s->finished - 1);
}

// Sizes around tar blocks, frames and big members.
static void fill(struct shop *s)
{
    static const size_t sizes[] = { 1, 511, 512, 513, 0, 100000, (1 << 20) - 512, 1 << 20, (1 << 20) + 1, 262144, 7, (4 << 20) - 1, 4 << 20, 3, 5 << 20, 9 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        add(s, i % 3 == 0 ? "delta" : "whole", i, sizes[i]);
    for (uint64_t i = 0; i < 200; i++)
        add(s, i % 50 == 0 ? "recipe" : i % 7 == 0 ? "xattr" : "whole", 1000 + i, (size_t)(i * 211 % 9000));
}

static void test_stock_tools_open_it(void **state)
{
    struct shop *s = *state;
    fill(s);
    finish(s);
    check_all(s);
    assert_true(s->finished >= 2);
    struct object_writer_stats stats;
    uint64_t stored = 0;
    for (uint32_t i = 5; i < 5 + s->finished; i++)
        stored += s->sizes[i];
    object_writer_stats(s->writer, &stats);
    assert_int_equal(stats.objects, s->finished);
    assert_int_equal(stats.stored_bytes, stored);
    assert_true(s->profile.ns[PROFILE_COMPRESS][PROFILE_CPU] > 0);
    profile_end(&s->lap);
    assert_true(s->profile.ns[PROFILE_ENCRYPT][PROFILE_CPU] > 0);
    scratch_run("cd '%s' && test $(find repo -type f | wc -l) = %u", s->scratch.dir, s->finished); // no spool is left
}

// An object ends at the first member behind its size: never a little one, never far beyond (a member, and what the threads hold).
static void test_object_size(void **state)
{
    struct shop *s = *state;
    for (unsigned i = 0; i < 390; i++)
        add(s, "whole", i, 100000);
    finish(s);
    assert_in_range(s->finished, 3, 36);
    for (uint32_t i = 5; i < 5 + s->finished - 1; i++)
        assert_in_range(s->sizes[i], OBJECT_SIZE, OBJECT_SIZE + (10 << 20)); // five frames
    assert_int_equal(object_writer_next_object(s->writer), 5 + s->finished);
    finish(s); // nothing is open: nothing happens
    assert_int_equal(object_writer_next_object(s->writer), 5 + s->finished);
}

// The same input gives the same objects, whatever the threads do, so that a run that is repeated finds them.
static void test_repeatable(void **state)
{
    struct shop *one = *state, *two = open_shop(0);
    fill(one);
    fill(two);
    finish(one);
    finish(two);
    assert_int_equal(one->finished, two->finished);
    for (uint32_t i = 5; i < 5 + one->finished; i++)
        assert_string_equal(one->names[i], two->names[i]);
    close_shop(two);
}

static void test_notes_for_salvage(void **state)
{
    struct shop *s = *state;
    char line[64];
    note(s, "lost: no object is open"); // its content is in an object that has ended
    add(s, "whole", 1, 10);
    for (unsigned i = 0; i < 60000; i++) { // more than one member of them
        (void)snprintf(line, sizeof line, "/path/%u f mode=0644", i);
        note(s, line);
    }
    add(s, "whole", 2, 10);
    note(s, "/last f");
    finish(s);
    open_object(s, 5);
    scratch_run("cd '%s/dir-5' && test $(ls *.meta | wc -l) -ge 2 && for f in *.meta; do head -n 4 $f | tail -n +1 >head; "
                "printf 'bkd-meta/1\\nrepository %s\\nchain %s\\nobject 5\\n' | cmp - head || exit 1; tail -n +5 $f; done >entries",
                s->scratch.dir, "abababababababababababababababab", "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd");
    scratch_run("cd '%s/dir-5' && (seq 0 59999 | sed 's|.*|entry /path/& f mode=0644|'; echo 'entry /last f') | cmp - entries", s->scratch.dir);
}

// A big member has a frame of its own; at levels where that takes much memory, frames of half its size. Behind them is one with the end of the stream.
static void test_frames_by_level(void **state)
{
    struct shop *s = *state;
    struct error err;
    static const struct { int level; unsigned frames; } wanted[] = { { 11, 2 }, { 12, 3 } };
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t number = s->options.first_object;
        object_writer_free(s->writer);
        s->options.level = wanted[i].level;
        s->finished = 0;
        scratch_ok(object_writer_new(&s->io, &s->options, &s->writer, &err), &err);
        add(s, "whole", number, 4 << 20);
        finish(s);
        scratch_run("cd '%s' && zstd -lv repo/%s 2>&1 | grep -qx '# Zstandard Frames: %u'", s->scratch.dir, s->names[number], wanted[i].frames);
        s->options.first_object = number + 1;
    }
}

// Text of which a higher level makes less; another one for each seed.
static void fill_text(char *text, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i += 16) {
        seed = seed * 1664525 + 1013904223;
        char line[17];
        (void)snprintf(line, sizeof line, "row %07u, %02u\n", seed % 100000, seed >> 28);
        memcpy(text + i, line, n - i < 16 ? n - i : 16);
    }
}

// The stored bytes of four frames, of which the first so many bytes get a level of their own.
static uint64_t stored_with_first(struct shop *s, uint64_t first_bytes)
{
    enum { BIG = 4 << 20, MEMBERS = 4 };
    struct error err;
    struct place place;
    struct object_writer_stats stats;
    _cleanup_free_ char *text = xmalloc(BIG);
    object_writer_free(s->writer);
    s->options.level = 1;
    s->options.first_level = 9;
    s->options.first_bytes = first_bytes;
    s->options.object_size = MEMBERS * BIG;
    s->finished = 0;
    scratch_ok(object_writer_new(&s->io, &s->options, &s->writer, &err), &err);
    for (unsigned i = 0; i < MEMBERS; i++) {
        fill_text(text, BIG, i);
        scratch_ok(object_writer_add(s->writer, "whole", text, BIG, &place, &err), &err);
    }
    finish(s);
    object_writer_stats(s->writer, &stats);
    s->options.first_object += s->finished;
    return stats.stored_bytes;
}

static void test_level_of_first_bytes(void **state)
{
    struct shop *s = *state;
    uint64_t none = stored_with_first(s, 0), half = stored_with_first(s, 8 << 20), all = stored_with_first(s, 1 << 30);
    assert_true(none > half && half > all);
    assert_in_range(none - half, (none - all) * 4 / 10, (none - all) * 6 / 10);
    scratch_run("cd '%s' && zstd -qt repo/%s", s->scratch.dir, s->names[s->options.first_object - 1]);
}

static const char *refused;

static int refusing_rename(const struct io *io, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, unsigned flags)
{
    (void)io;
    if (strncmp(new_path, refused, strlen(refused)) == 0) {
        errno = ENOSPC;
        return -1;
    }
    return io_real()->renameat2(io_real(), old_dirfd, old_path, new_dirfd, new_path, flags);
}

static ssize_t refusing_write(const struct io *io, int fd, const void *data, size_t n)
{
    (void)io, (void)fd, (void)data, (void)n;
    errno = EIO;
    return -1;
}

// What cannot be stored is an error and never told as finished; nothing stays behind.
static void test_store_fails(void **state)
{
    struct shop *s = *state;
    struct error err;
    refused = "objects/";
    s->io.renameat2 = refusing_rename;
    add(s, "whole", 1, 100);
    assert_int_equal(object_writer_finish(s->writer, &err), ERROR_NO_SPACE);
    assert_int_equal(s->finished, 0);
    object_writer_free(s->writer);
    scratch_run("cd '%s' && test -z \"$(find repo -type f)\"", s->scratch.dir);
    s->io = *io_real();
    scratch_ok(object_writer_new(&s->io, &s->options, &s->writer, &err), &err);
    s->io.write = refusing_write;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < 300; i++) // more than the stages hold
        r = try_add(s, "whole", i, 100000, &err);
    assert_int_equal(r, ERROR_FAILED);
    assert_int_equal(err.os_errno, EIO);
    assert_int_equal(object_writer_finish(s->writer, &err), ERROR_FAILED); // and nothing is finished without the frames that are missing
    assert_int_equal(err.os_errno, EIO);
    assert_int_equal(s->finished, 0);
    object_writer_free(s->writer);
    s->writer = NULL;
    scratch_run("cd '%s' && test -z \"$(find repo -type f)\"", s->scratch.dir);
}

// Wherever the failure is noticed, also while an object is being ended.
static void test_store_fails_while_ending(void **state)
{
    struct shop *s = *state;
    struct error err;
    s->options.object_size = UINT64_MAX;
    s->io.write = refusing_write;
    for (unsigned mib = 6; mib < 18; mib++) { // some of them fill the stages with the last frame but one
        object_writer_free(s->writer);
        scratch_ok(object_writer_new(&s->io, &s->options, &s->writer, &err), &err);
        int r = 0;
        for (unsigned i = 0; r == 0 && i < mib; i++)
            r = try_add(s, "whole", i, 1 << 20, &err);
        assert_int_equal(object_writer_finish(s->writer, &err), ERROR_FAILED);
        assert_int_equal(err.os_errno, EIO);
        object_writer_free(TAKE(s->writer));
        scratch_run("cd '%s' && test -z \"$(find repo -type f)\"", s->scratch.dir);
    }
}

// Objects that are getting their names; the first waits for the second.
static atomic_uint at_the_door, fails_at;
static atomic_bool first_waits, second_came, two_were_there;

static int waiting_rename(const struct io *io, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, unsigned flags)
{
    (void)io;
    if (strncmp(new_path, "objects/", 8) == 0) {
        unsigned number = ++at_the_door;
        if (number == 1)
            first_waits = true;
        for (int i = 0; i < 1000 && number == 1 && !second_came; i++)
            (void)usleep(10000);
        if (number == 1)
            first_waits = false;
        if (number == 2) {
            two_were_there = first_waits;
            second_came = true;
        }
        if (number == fails_at) {
            errno = ENOSPC;
            return -1;
        }
    }
    return io_real()->renameat2(io_real(), old_dirfd, old_path, new_dirfd, new_path, flags);
}

static int add_many(struct shop *s, struct error *err)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && i < 390; i++)
        r = try_add(s, "whole", i, 100000, err);
    return r < 0 ? r : object_writer_finish(s->writer, err);
}

// The second one is put while the first still is; they are told in their order (note_finished).
static void test_two_at_a_time(void **state)
{
    struct shop *s = *state;
    struct error err;
    at_the_door = fails_at = 0;
    second_came = two_were_there = false;
    s->io.renameat2 = waiting_rename;
    scratch_ok(add_many(s, &err), &err);
    assert_true(two_were_there);
    assert_true(s->finished >= 3);
    check_all(s);
}

// Of two that are under way one fails: no other is told behind it, and what was told is there.
static void test_one_of_two_fails(void **state)
{
    struct shop *s = *state;
    struct error err;
    for (unsigned which = 1; which <= 3; which++) {
        object_writer_free(s->writer);
        s->finished = 0;
        s->n_members = 0;
        scratch_run("rm -rf '%s'/repo/objects", s->scratch.dir);
        for (size_t i = 0; i < OBJECTS_MAX; i++) {
            free(s->names[i]);
            s->names[i] = NULL;
        }
        scratch_ok(object_writer_new(&s->io, &s->options, &s->writer, &err), &err);
        at_the_door = 0;
        fails_at = which;
        second_came = false;
        s->io.renameat2 = waiting_rename;
        assert_int_equal(add_many(s, &err), ERROR_NO_SPACE);
        assert_true(s->finished <= which);
        for (uint32_t i = 5; i < 5 + s->finished; i++)
            scratch_run("test $(stat -c %%s '%s/repo/%s') = %llu", s->scratch.dir, s->names[i], (unsigned long long)s->sizes[i]);
    }
}

static int refuse_finished(void *arg, const struct format_ref *object, struct error *err)
{
    (void)arg, (void)object;
    return error_set(err, ERROR_BUSY, "no");
}

static void test_callback_ends_it(void **state)
{
    struct shop *s = *state;
    struct error err;
    object_writer_free(s->writer);
    s->options.finished = refuse_finished;
    scratch_ok(object_writer_new(&s->io, &s->options, &s->writer, &err), &err);
    add(s, "whole", 1, 100);
    assert_int_equal(object_writer_finish(s->writer, &err), ERROR_BUSY);
}

// An object dropped under way leaves nothing.
static void test_dropped(void **state)
{
    struct shop *s = *state;
    for (unsigned i = 0; i < 8; i++)
        add(s, "whole", i, 100000);
    object_writer_free(s->writer);
    s->writer = NULL;
    scratch_run("cd '%s' && test -z \"$(find repo -type f)\"", s->scratch.dir);
    assert_int_equal(s->finished, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stock_tools_open_it, setup_plain, teardown),
        cmocka_unit_test_setup_teardown(test_stock_tools_open_it, setup_encrypted, teardown),
        cmocka_unit_test_setup_teardown(test_object_size, setup_plain, teardown),
        cmocka_unit_test_setup_teardown(test_object_size, setup_encrypted, teardown),
        cmocka_unit_test_setup_teardown(test_frames_by_level, setup_plain, teardown),
        cmocka_unit_test_setup_teardown(test_level_of_first_bytes, setup_plain, teardown),
        cmocka_unit_test_setup_teardown(test_repeatable, setup_plain, teardown),
        cmocka_unit_test_setup_teardown(test_notes_for_salvage, setup_plain, teardown),
        cmocka_unit_test_setup_teardown(test_store_fails, setup_encrypted, teardown),
        cmocka_unit_test_setup_teardown(test_store_fails_while_ending, setup_encrypted, teardown),
        cmocka_unit_test_setup_teardown(test_stock_tools_open_it, setup_far, teardown),
        cmocka_unit_test_setup_teardown(test_two_at_a_time, setup_far, teardown),
        cmocka_unit_test_setup_teardown(test_one_of_two_fails, setup_far, teardown),
        cmocka_unit_test_setup_teardown(test_callback_ends_it, setup_plain, teardown),
        cmocka_unit_test_setup_teardown(test_dropped, setup_encrypted, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
