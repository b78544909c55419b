// The local state: what must be durable and right, what may be lost, and which snapshot a run builds on.
#include "tests/codec/scratch.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "bkd/engine/parent.h"
#include "bkd/engine/state.h"

static int setup(void **state)
{
    struct scratch *s = xcalloc(1, sizeof *s);
    *s = scratch_new();
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    scratch_done(*state);
    free(*state);
    return 0;
}

static struct state open_ok(const struct scratch *s)
{
    struct error err;
    struct state state;
    scratch_ok(state_open(io_real(), s->dir, "p", &state, &err), &err);
    return state;
}

static const struct state_pin three = { .is_set = true, .number = 3, .sha256 = { 1, 2 }, .repository = { 9 } };

static void test_kept(void **arg)
{
    const struct scratch *s = *arg;
    struct error err;
    static const uint8_t chain[16] = { 7, 7 };
    struct state reader;
    assert_int_equal(state_open_readonly(io_real(), s->dir, "p", &reader, &err), ERROR_NOT_FOUND);
    struct state state = open_ok(s), other;
    assert_false(state.has_chain || state.pin.is_set || state.pending.is_set);
    assert_int_equal(state_open(io_real(), s->dir, "p", &other, &err), ERROR_BUSY);
    uint8_t key[SEALED_KEY_SIZE];
    memcpy(key, state.key, sizeof key);
    scratch_ok(state_set_chain(&state, chain, &err), &err);
    scratch_ok(state_set_pending(&state, &three, &err), &err);
    scratch_ok(state_set_pin(&state, &three, &err), &err);
    scratch_ok(state_reserve_objects(&state, 4711, &err), &err);
    scratch_ok(state_open_readonly(io_real(), s->dir, "p", &reader, &err), &err); // while a run goes on
    assert_memory_equal(reader.chain, chain, 16);
    state_close(&reader);
    state_close(&state);
    state_close(&state);
    state = open_ok(s);
    assert_memory_equal(state.key, key, sizeof key);
    assert_true(state.has_chain);
    assert_memory_equal(state.chain, chain, 16);
    assert_true(state.pin.is_set && state.pending.is_set);
    assert_int_equal(state.pin.number, 3);
    assert_memory_equal(state.pin.sha256, three.sha256, 32);
    assert_memory_equal(state.pin.repository, three.repository, 16);
    assert_int_equal(state.objects, 4711);
    state_close(&state);
    scratch_run("cd '%s/policies/p' && test $(stat -c %%a .) = 700 && test $(stat -c %%a key) = 600", s->dir);
}

// Keys differ by repository and by chain, so no cache of one is taken for another's.
static void test_cache_keys(void **arg)
{
    struct state state = open_ok(*arg);
    static const uint8_t ids[3][16] = { { 1 }, { 2 }, { 3 } };
    uint8_t keys[9][SEALED_KEY_SIZE];
    for (size_t i = 0; i < 9; i++) {
        state_cache_key(&state, ids[i / 3], ids[i % 3], keys[i]);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(keys[i], keys[k], SEALED_KEY_SIZE);
    }
    uint8_t again[SEALED_KEY_SIZE];
    state_cache_key(&state, ids[1], ids[2], again);
    assert_memory_equal(again, keys[5], SEALED_KEY_SIZE);
    state_close(&state);
}

static int spoiled(const struct scratch *s, const char *script)
{
    struct error err;
    struct state state;
    scratch_run("cd '%s/policies/p' && %s", s->dir, script);
    int r = state_open(io_real(), s->dir, "p", &state, &err);
    if (r == 0)
        state_close(&state);
    return r;
}

static void test_damage(void **arg)
{
    const struct scratch *s = *arg;
    struct error err;
    struct state state = open_ok(s);
    static const uint8_t chain[16] = { 7, 7 };
    scratch_ok(state_set_chain(&state, chain, &err), &err);
    scratch_ok(state_set_pin(&state, &three, &err), &err);
    uint8_t key[SEALED_KEY_SIZE];
    memcpy(key, state.key, sizeof key);
    state_close(&state);
    // Without pin or chain less would be safe: damage is said, and what to do.
    static const char *const scripts[] = { "cp pin good; truncate -s 20 pin", "cp good pin; sed -i s/^3/x/ pin", "cp good pin; echo >>pin", ": >pin" };
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(spoiled(s, scripts[i]), ERROR_INTEGRITY);
    assert_int_equal(spoiled(s, "cp good pin; cp chain good; echo x >chain"), ERROR_INTEGRITY);
    assert_int_equal(spoiled(s, "cp good chain; truncate -s 0 chain"), ERROR_INTEGRITY);
    assert_int_equal(spoiled(s, "rm chain pin"), 0);
    // A lost or damaged key costs the caches only.
    static const char *const keys[] = { "truncate -s 31 key", "echo >>key", ": >key", "rm key", "head -c 1000 /dev/zero >key" };
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(spoiled(s, keys[i]), 0);
        state = open_ok(s);
        assert_memory_not_equal(state.key, key, sizeof key);
        memcpy(key, state.key, sizeof key);
        state_close(&state);
    }
}

// ---- which snapshot to build on

static struct repository_head head_of(uint8_t chain, uint64_t number, uint8_t hash, const char *host, uint64_t time)
{
    struct repository_head h = { .chain = { chain }, .number = number, .valid = true, .sha256 = { hash } };
    (void)snprintf(h.head.host, sizeof h.head.host, "%s", host);
    (void)snprintf(h.head.policy, sizeof h.head.policy, "p");
    h.head.time_ns = time;
    h.head.number = number;
    return h;
}

static const struct format_repository info = { .id = { 9 } };

static int find(struct state *state, struct repository_head *heads, size_t n, struct parent *parent)
{
    struct error err;
    struct repository repository = { .info = info, .heads = heads, .n_heads = n };
    *parent = (struct parent){ .next_number = 99 };
    return parent_find(io_real(), state, &repository, "host", "p", parent, &err);
}

static struct state with_pin(uint8_t chain, uint64_t number, uint8_t hash)
{
    return (struct state){ .dirfd = -1, .lock_fd = -1, .has_chain = true, .chain = { chain }, .pin = { .is_set = number > 0, .number = number, .sha256 = { hash }, .repository = { 9 } } };
}

static void test_parent(void **arg)
{
    (void)arg;
    struct parent parent;
    struct repository_head heads[] = { head_of(1, 1, 11, "host", 10), head_of(1, 2, 12, "host", 20), head_of(1, 3, 13, "host", 30), head_of(2, 1, 21, "other", 90), head_of(3, 8, 38, "host", 25) };
    struct state state = with_pin(1, 3, 13);
    assert_int_equal(find(&state, heads, 5, &parent), 0);
    assert_ptr_equal(parent.head, &heads[2]);
    assert_int_equal(parent.next_number, 4);
    // The last one is void: its number is passed over, and the pin is of the one before.
    heads[2].valid = false;
    state = with_pin(1, 2, 12);
    assert_int_equal(find(&state, heads, 5, &parent), 0);
    assert_ptr_equal(parent.head, &heads[1]);
    assert_int_equal(parent.next_number, 4);
    heads[2].valid = true;
    // A first run: nothing of ours there.
    state = (struct state){ .dirfd = -1, .lock_fd = -1 };
    assert_int_equal(find(&state, heads + 3, 1, &parent), 0);
    assert_null(parent.head);
    assert_int_equal(parent.next_number, 1);
    // State lost: the chain of this host and policy whose head is the newest, not another host's.
    assert_int_equal(find(&state, heads, 5, &parent), 0);
    assert_ptr_equal(parent.head, &heads[2]);
    assert_int_equal(parent.chain[0], 1);
    // A chain begun but without a snapshot yet.
    state = with_pin(5, 0, 0);
    assert_int_equal(find(&state, heads, 5, &parent), 0);
    assert_null(parent.head);
    assert_int_equal(parent.chain[0], 5);
}

static void test_alarms(void **arg)
{
    (void)arg;
    struct parent parent;
    struct repository_head heads[] = { head_of(1, 1, 11, "host", 10), head_of(1, 2, 12, "host", 20), head_of(1, 3, 13, "host", 30) };
    struct state state = with_pin(1, 3, 13);
    assert_int_equal(find(&state, heads, 2, &parent), ERROR_INTEGRITY); // rolled back
    assert_int_equal(find(&state, heads, 0, &parent), ERROR_INTEGRITY); // emptied
    state = with_pin(1, 3, 99);
    assert_int_equal(find(&state, heads, 3, &parent), ERROR_INTEGRITY); // exchanged
    state = with_pin(1, 2, 12);
    assert_int_equal(find(&state, heads, 3, &parent), ERROR_INTEGRITY); // somebody else wrote 3
    state.pending = (struct state_pin){ .is_set = true, .number = 3, .sha256 = { 13 }, .repository = { 9 } };
    assert_int_equal(find(&state, heads, 3, &parent), 0); // it was this host, cut off before it could note it
    assert_ptr_equal(parent.head, &heads[2]);
    state = with_pin(1, 3, 13);
    heads[2].fork = true;
    assert_int_equal(find(&state, heads, 3, &parent), ERROR_INTEGRITY);
    heads[2].fork = false;
    heads[2].valid = false;
    assert_int_equal(find(&state, heads, 3, &parent), ERROR_INTEGRITY); // the pinned one was damaged
    // Another repository than the one pinned: a new beginning, not an alarm.
    heads[2].valid = true;
    state = with_pin(1, 7, 77);
    state.pin.repository[0] = 8;
    assert_int_equal(find(&state, NULL, 0, &parent), 0);
    assert_null(parent.head);
    assert_int_not_equal(memcmp(parent.chain, state.chain, 16), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cache_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test(test_parent),
        cmocka_unit_test(test_alarms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
