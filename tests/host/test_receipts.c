// What is remembered of copies: written and read again, broken files, the back-off.
#include "tests/codec/scratch.h"

#include "bkd/host/receipts.h"

#define OK(call) do { if ((call) != 0) fail_msg("%s: %s", #call, err.text); } while (0)

static void test_remembered(void **state)
{
    (void)state;
    struct error err;
    _cleanup_scratch_ struct scratch s = scratch_new();
    {
        _cleanup_receipts_ struct receipts r = { .lock_fd = -1 }, second = { .lock_fd = -1 };
        OK(receipts_open(io_real(), s.dir, "p", true, &r, &err));
        assert_int_equal(receipts_open(io_real(), s.dir, "p", true, &second, &err), ERROR_BUSY);
        assert_null(receipts_newest(&r, "/a"));
        free(receipts_of(&r, "/a", "")->url);
        r.items[0] = (struct receipt){ .url = xstrdup("/a"), .snapshot = 7, .snapshot_time_ns = 70, .shipped_ns = 71 };
        struct receipt *disk = receipts_of(&r, "/mnt", "00112233445566778899aabbccddeeff");
        disk->failures = 3;
        disk->failing_since_ns = 5;
        disk->problem = xstrdup("no \"answer\"\nat all");
        disk->snapshot_time_ns = 9;
        receipts_of(&r, "/mnt", "ffeeddccbbaa99887766554433221100")->snapshot_time_ns = 10;
        OK(receipts_save(&r, &err));
    }
    _cleanup_receipts_ struct receipts r = { .lock_fd = -1 };
    OK(receipts_open(io_real(), s.dir, "p", true, &r, &err));
    assert_int_equal(r.n, 3);
    const struct receipt *a = receipts_newest(&r, "/a"), *disk = receipts_of(&r, "/mnt", "00112233445566778899aabbccddeeff");
    assert_true(a->snapshot == 7 && a->snapshot_time_ns == 70 && a->shipped_ns == 71 && a->problem == NULL && a->serial[0] == '\0');
    assert_true(disk->failures == 3 && disk->failing_since_ns == 5);
    assert_string_equal(disk->problem, "no \"answer\"\nat all");
    assert_string_equal(receipts_newest(&r, "/mnt")->serial, "ffeeddccbbaa99887766554433221100");
}

static void test_broken(void **state)
{
    (void)state;
    struct error err;
    _cleanup_scratch_ struct scratch s = scratch_new();
    static const char text[] = "not json\n{}\n{\"url\":3}\n{\"url\":\"/b\",\"snapshot\":\"x\",\"serial\":\"00112233445566778899aabbccddeeff0\"}\n{\"url\":\"/c\",\"snapshot\":4}";
    scratch_run("mkdir -p '%s/policies/p'", s.dir);
    scratch_write(&s, "policies/p/copies", text, strlen(text));
    _cleanup_receipts_ struct receipts r = { .lock_fd = -1 };
    OK(receipts_open(io_real(), s.dir, "p", false, &r, &err));
    assert_int_equal(r.n, 1);
    assert_int_equal(receipts_newest(&r, "/c")->snapshot, 4);
}

static void test_back_off(void **state)
{
    (void)state;
    assert_int_equal(receipts_back_off_ns(0), 0);
    assert_int_equal(receipts_back_off_ns(1), UINT64_C(60000000000));
    assert_int_equal(receipts_back_off_ns(3), UINT64_C(240000000000));
    assert_int_equal(receipts_back_off_ns(1000000), UINT64_C(3600000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_remembered), cmocka_unit_test(test_broken), cmocka_unit_test(test_back_off) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
