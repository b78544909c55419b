// What differs between two entries: each field alone, what does not count, and how it is said.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "bkd/engine/differ.h"

#define WAS "mode=0644 uid=0 gid=0 mtime=100.000000000"

static void parse(const char *line, struct manifest_entry *ret_entry)
{
    struct error err;
    if (manifest_parse(line, strlen(line), ret_entry, &err) < 0)
        fail_msg("%s: %s", line, err.text);
}

static void expect(const char *a, const char *b, uint32_t fields, const char *text)
{
    _cleanup_manifest_entry_ struct manifest_entry from = { 0 }, to = { 0 };
    _cleanup_buf_ struct buf said = { 0 };
    parse(a, &from);
    parse(b, &to);
    assert_int_equal(differ_entries(&from, &to), fields);
    assert_int_equal(differ_entries(&to, &from), fields);
    assert_int_equal(differ_entries(&from, &from), 0);
    differ_add_text(&said, fields, &from, &to);
    assert_string_equal(buf_str(&said), text);
}

static void test_fields(void **state)
{
    (void)state;
    const char *file = "/f f " WAS " size=4 at=1:512+4 source=0";
    expect(file, "/f f mode=0600 uid=0 gid=0 mtime=100.000000000 size=4 at=1:512+4 source=0", DIFFER_MODE, "mode 0644 -> 0600");
    expect(file, "/f f mode=0644 uid=7 gid=8 mtime=100.000000000 size=4 at=1:512+4 source=0", DIFFER_OWNER | DIFFER_GROUP, "owner 0 -> 7, group 0 -> 8");
    expect(file, "/f f mode=0644 uid=0 gid=0 mtime=100.000000001 size=4 at=1:512+4 source=0", DIFFER_MTIME, "mtime");
    expect(file, "/f f " WAS " size=5 at=1:512+5 source=0", DIFFER_CONTENT, "content 4 -> 5 bytes");
    expect(file, "/f f " WAS " size=4 hardlink=1.2 at=1:512+4 source=0", DIFFER_LINKS, "links");
    expect(file, "/f l " WAS " target=x source=0", DIFFER_TYPE, "type f -> l");
    expect("/l l " WAS " target=x source=0", "/l l " WAS " target=y source=0", DIFFER_TARGET, "target");
    expect("/c c " WAS " device=1,3 source=0", "/c c " WAS " device=1,5 source=0", DIFFER_DEVICE, "device 1,3 -> 1,5");
    expect("/f f mode=0644 uid=0 gid=0 user=root group=root mtime=100.000000000 size=4 at=1:512+4 source=0",
           "/f f mode=0644 uid=0 gid=0 user=ada group=root mtime=100.000000000 size=4 at=2:512+4 source=1", 0, "");
}

// Others work in the directories on the way to a source, too.
static void test_way(void **state)
{
    (void)state;
    expect("/srv d mode=0755 uid=0 gid=0 mtime=100.000000000", "/srv d mode=0755 uid=0 gid=0 mtime=200.000000000", 0, "");
    expect("/srv d mode=0755 uid=0 gid=0 mtime=100.000000000", "/srv d mode=0700 uid=0 gid=0 mtime=200.000000000", DIFFER_MODE, "mode 0755 -> 0700");
    expect("/srv d mode=0755 uid=0 gid=0 mtime=100.000000000 source=0", "/srv d mode=0755 uid=0 gid=0 mtime=200.000000000 source=0", DIFFER_MTIME, "mtime");
}

static void test_json(void **state)
{
    (void)state;
    _cleanup_manifest_entry_ struct manifest_entry from = { 0 }, to = { 0 };
    _cleanup_buf_ struct buf said = { 0 };
    parse("/f f " WAS " size=4 at=1:512+4 source=0", &from);
    parse("/f f mode=0600 uid=0 gid=0 mtime=100.000000000 size=9 at=1:512+9 source=0", &to);
    _cleanup_json_ struct json *line = json_object_new();
    differ_add_json(line, differ_entries(&from, &to) | DIFFER_XATTRS, &from, &to);
    json_format(line, &said);
    assert_string_equal(buf_str(&said), "{\"differs\":[\"content\",\"mode\",\"xattrs\"],\"size_bytes\":{\"from\":\"4\",\"to\":\"9\"},\"mode\":{\"from\":\"0644\",\"to\":\"0600\"}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_fields), cmocka_unit_test(test_way), cmocka_unit_test(test_json) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
