// One table: what stands there, what the snapshot says, the rules; and the action that follows.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "restore/decide.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { T = 1600000000 };

static const struct attrs wanted_attrs = { .mode = 0644, .uid = 7, .gid = 8, .mtime_s = T, .mtime_ns = 500 };

static struct decide_there file_like_wanted(void)
{
    return (struct decide_there){
        .exists = true, .type = MANIFEST_FILE, .mode = 0644, .uid = 7, .gid = 8, .size = 100, .mtime_s = T, .mtime_ns = 500
    };
}

// How what is there differs from the snapshot's file of 100 bytes.
enum change { NOTHING, ABSENT, SIZE, OLDER, OLDER_BY_A_NS, NEWER, MODE, OWNER, TO_LINK, TO_EMPTY_DIR, TO_FILLED_DIR };

static struct decide_there changed(enum change change)
{
    struct decide_there t = file_like_wanted();
    switch (change) {
    case NOTHING: break;
    case ABSENT: t = (struct decide_there){ 0 }; break;
    case SIZE: t.size = 99; break;
    case OLDER: t.mtime_s -= 60; break;
    case OLDER_BY_A_NS: t.mtime_ns--; break;
    case NEWER: t.mtime_s += 60; break;
    case MODE: t.mode = 0600; break;
    case OWNER: t.uid = 1000; break;
    case TO_LINK: t.type = MANIFEST_LINK; t.mtime_s -= 60; break;
    case TO_EMPTY_DIR: t.type = MANIFEST_DIR; t.mtime_s -= 60; break;
    case TO_FILLED_DIR: t.type = MANIFEST_DIR; t.filled = true; t.mtime_s -= 60; break;
    }
    return t;
}

static enum decide_action decide_file(const struct decide_rules *rules, const struct decide_there *there)
{
    struct manifest_entry e = { .type = MANIFEST_FILE, .size = 100 };
    const char *why = NULL;
    enum decide_action action = decide(rules, &e, &wanted_attrs, there, &why);
    assert_non_null(why);
    return action;
}

static void test_files_by_mode(void **state)
{
    static const struct {
        enum change change;
        enum decide_action expected[4]; // never, if-changed, if-newer, always
    } rows[] = {
        { ABSENT, { DECIDE_CREATE, DECIDE_CREATE, DECIDE_CREATE, DECIDE_CREATE } },
        { NOTHING, { DECIDE_EXISTS, DECIDE_LEAVE, DECIDE_LEAVE, DECIDE_REPLACE } },
        { SIZE, { DECIDE_EXISTS, DECIDE_REPLACE, DECIDE_LEAVE, DECIDE_REPLACE } },
        { OLDER, { DECIDE_EXISTS, DECIDE_COMPARE, DECIDE_REPLACE, DECIDE_REPLACE } },
        { OLDER_BY_A_NS, { DECIDE_EXISTS, DECIDE_COMPARE, DECIDE_REPLACE, DECIDE_REPLACE } },
        { NEWER, { DECIDE_EXISTS, DECIDE_COMPARE, DECIDE_LEAVE, DECIDE_REPLACE } },
        { MODE, { DECIDE_EXISTS, DECIDE_METADATA, DECIDE_LEAVE, DECIDE_REPLACE } },
        { OWNER, { DECIDE_EXISTS, DECIDE_METADATA, DECIDE_LEAVE, DECIDE_REPLACE } },
        { TO_LINK, { DECIDE_EXISTS, DECIDE_REPLACE, DECIDE_REPLACE, DECIDE_REPLACE } },
        { TO_EMPTY_DIR, { DECIDE_EXISTS, DECIDE_REPLACE, DECIDE_REPLACE, DECIDE_REPLACE } },
        { TO_FILLED_DIR, { DECIDE_EXISTS, DECIDE_CONFLICT, DECIDE_CONFLICT, DECIDE_CONFLICT } },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int mode = DECIDE_NEVER; mode <= DECIDE_ALWAYS; mode++) {
            struct decide_rules rules = { .mode = mode };
            struct decide_there there = changed(rows[i].change);
            enum decide_action action = decide_file(&rules, &there);
            if (action != rows[i].expected[mode])
                fail_msg("row %zu, %s: %d instead of %d", i, decide_mode_name(mode), action, rows[i].expected[mode]);
        }
}

static void test_resumed(void **state)
{
    static const struct {
        enum change change;
        bool doubt;
        enum decide_action expected[4];
    } rows[] = {
        { NOTHING, false, { DECIDE_LEAVE, DECIDE_LEAVE, DECIDE_LEAVE, DECIDE_COMPARE } },
        { NOTHING, true, { DECIDE_COMPARE, DECIDE_COMPARE, DECIDE_COMPARE, DECIDE_COMPARE } },
        { OLDER, false, { DECIDE_COMPARE, DECIDE_COMPARE, DECIDE_REPLACE, DECIDE_COMPARE } }, // a file system that keeps no such times
        { OLDER, true, { DECIDE_COMPARE, DECIDE_COMPARE, DECIDE_REPLACE, DECIDE_COMPARE } },
        { NEWER, false, { DECIDE_COMPARE, DECIDE_COMPARE, DECIDE_LEAVE, DECIDE_COMPARE } },
        { SIZE, false, { DECIDE_EXISTS, DECIDE_REPLACE, DECIDE_REPLACE, DECIDE_REPLACE } },
        { SIZE, true, { DECIDE_REPLACE, DECIDE_REPLACE, DECIDE_REPLACE, DECIDE_REPLACE } }, // torn by a power loss
        { MODE, false, { DECIDE_METADATA, DECIDE_METADATA, DECIDE_METADATA, DECIDE_COMPARE } },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int mode = DECIDE_NEVER; mode <= DECIDE_ALWAYS; mode++) {
            struct decide_rules rules = { .mode = mode, .resume = true, .doubt = rows[i].doubt };
            struct decide_there there = changed(rows[i].change);
            there.ours = mode == DECIDE_NEVER; // only there it matters
            enum decide_action action = decide_file(&rules, &there);
            if (action != rows[i].expected[mode])
                fail_msg("row %zu, %s: %d instead of %d", i, decide_mode_name(mode), action, rows[i].expected[mode]);
        }
}

static void test_compared(void **state)
{
    struct decide_rules changed_rules = { .mode = DECIDE_IF_CHANGED }, never = { .resume = true, .doubt = true };
    struct decide_there same = file_like_wanted(), older = changed(OLDER);
    const char *why;
    (void)state;
    assert_int_equal(decide_compared(&changed_rules, &wanted_attrs, &older, true, &why), DECIDE_METADATA);
    assert_int_equal(decide_compared(&changed_rules, &wanted_attrs, &older, false, &why), DECIDE_REPLACE);
    assert_int_equal(decide_compared(&changed_rules, &wanted_attrs, &same, true, &why), DECIDE_LEAVE);
    assert_int_equal(decide_compared(&never, &wanted_attrs, &same, true, &why), DECIDE_LEAVE);
    assert_int_equal(decide_compared(&never, &wanted_attrs, &same, false, &why), DECIDE_REPLACE);
    never.doubt = false; // a killed run leaves whole files: this one was put there meanwhile
    assert_int_equal(decide_compared(&never, &wanted_attrs, &older, false, &why), DECIDE_EXISTS);
    assert_int_equal(decide_file(&never, &same), DECIDE_EXISTS); // it was there before
    assert_int_equal(decide_attributes_differ(&changed_rules, &same, &why), DECIDE_METADATA);
    assert_int_equal(decide_attributes_differ(&never, &same, &why), DECIDE_LEAVE);
}

// Same size and time prove nothing with --verify; owners count for root only; --delete clears the way.
static void test_rules(void **state)
{
    struct decide_rules doubt = { .mode = DECIDE_IF_CHANGED, .doubt = true };
    struct decide_rules user = { .mode = DECIDE_IF_CHANGED, .own_owners = true };
    struct decide_rules removes = { .mode = DECIDE_IF_CHANGED, .delete = true };
    struct decide_there there = file_like_wanted();
    struct manifest_entry setuid = { .type = MANIFEST_FILE, .size = 100 };
    struct attrs attrs = wanted_attrs;
    const char *why;
    (void)state;
    assert_int_equal(decide_file(&doubt, &there), DECIDE_COMPARE);
    there = changed(OWNER);
    assert_int_equal(decide_file(&user, &there), DECIDE_LEAVE);
    attrs.mode = 04755; // without the owner the bit was left out
    there.mode = 0755;
    assert_int_equal(decide(&user, &setuid, &attrs, &there, &why), DECIDE_LEAVE);
    there.uid = 7;
    assert_int_equal(decide(&user, &setuid, &attrs, &there, &why), DECIDE_METADATA);
    there = changed(TO_FILLED_DIR);
    assert_int_equal(decide_file(&removes, &there), DECIDE_REPLACE);
    there = changed(TO_LINK);
    there.mtime_s = T + 5; // newer than the snapshot's
    struct decide_rules newer = { .mode = DECIDE_IF_NEWER };
    assert_int_equal(decide_file(&newer, &there), DECIDE_EXISTS);
}

// Nothing is written through a name of somebody else.
static void test_hard_links(void **state)
{
    struct decide_rules rules = { .mode = DECIDE_IF_CHANGED };
    struct decide_there same = file_like_wanted(), mode = changed(MODE);
    (void)state;
    same.links = mode.links = DECIDE_LINKS_OUTSIDE;
    assert_int_equal(decide_file(&rules, &same), DECIDE_LEAVE);
    assert_int_equal(decide_file(&rules, &mode), DECIDE_REPLACE);
    same.links = mode.links = DECIDE_LINKS_MIXED;
    assert_int_equal(decide_file(&rules, &same), DECIDE_REPLACE);
    assert_int_equal(decide_file(&rules, &mode), DECIDE_REPLACE);
}

static void test_other_types(void **state)
{
    struct decide_rules rules[4] = { { .mode = DECIDE_NEVER }, { .mode = DECIDE_IF_CHANGED }, { .mode = DECIDE_IF_NEWER }, { .mode = DECIDE_ALWAYS } };
    struct manifest_entry link = { .type = MANIFEST_LINK }, device = { .type = MANIFEST_CHAR, .device_major = 1, .device_minor = 3 },
                          dir = { .type = MANIFEST_DIR };
    struct decide_there there = file_like_wanted();
    const char *why;
    (void)state;
    there.type = MANIFEST_LINK;
    there.mode = 0777; // a link's mode does not count
    assert_int_equal(decide(&rules[1], &link, &wanted_attrs, &there, &why), DECIDE_LEAVE);
    there.other_target = true;
    assert_int_equal(decide(&rules[1], &link, &wanted_attrs, &there, &why), DECIDE_REPLACE);
    assert_int_equal(decide(&rules[0], &link, &wanted_attrs, &there, &why), DECIDE_EXISTS);
    there = file_like_wanted();
    there.type = MANIFEST_CHAR;
    there.device_major = 1;
    assert_int_equal(decide(&rules[1], &device, &wanted_attrs, &there, &why), DECIDE_REPLACE);
    there.device_minor = 3;
    assert_int_equal(decide(&rules[1], &device, &wanted_attrs, &there, &why), DECIDE_LEAVE);
    there = file_like_wanted();
    there.type = MANIFEST_DIR;
    there.filled = true;
    there.mtime_s++;
    static const enum decide_action on_dirs[] = { DECIDE_ENTER, DECIDE_METADATA, DECIDE_ENTER, DECIDE_METADATA };
    for (int i = 0; i < 4; i++)
        assert_int_equal(decide(&rules[i], &dir, &wanted_attrs, &there, &why), on_dirs[i]);
    struct manifest_entry above = { .type = MANIFEST_DIR, .source = MANIFEST_NO_SOURCE };
    for (int i = 0; i < 4; i++) // on the way to the sources
        assert_int_equal(decide(&rules[i], &above, &wanted_attrs, &there, &why), DECIDE_ENTER);
    there.ours = true; // made by an interrupted run
    assert_int_equal(decide(&rules[0], &dir, &wanted_attrs, &there, &why), DECIDE_METADATA);
    there = file_like_wanted(); // a file where a directory belongs
    assert_int_equal(decide(&rules[3], &above, &wanted_attrs, &there, &why), DECIDE_EXISTS); // such a link may lead to another disk
    assert_int_equal(decide(&rules[0], &dir, &wanted_attrs, &there, &why), DECIDE_EXISTS);
    assert_int_equal(decide(&rules[1], &dir, &wanted_attrs, &there, &why), DECIDE_REPLACE);
}

static void test_names(void **state)
{
    enum decide_mode mode;
    struct error err;
    (void)state;
    for (int i = DECIDE_NEVER; i <= DECIDE_ALWAYS; i++) {
        assert_int_equal(decide_mode_parse(decide_mode_name(i), &mode, &err), 0);
        assert_int_equal(mode, i);
    }
    assert_int_equal(decide_mode_parse("ifchanged", &mode, &err), ERROR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_by_mode), cmocka_unit_test(test_resumed),     cmocka_unit_test(test_compared),
        cmocka_unit_test(test_rules),         cmocka_unit_test(test_hard_links), cmocka_unit_test(test_other_types),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
