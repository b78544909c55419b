// The example repository of doc/FORMAT.md (tests/golden/repository, made with stock tools by its make.sh): its texts stand in the
// document as they are in the repository, bkd reads them, and writes each of them again byte for byte.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/repo/holds.h"
#include "bkd/repo/manifest.h"
#include "bkd/repo/recipe.h"
#include "bkd/repo/tags.h"

static void read_file(const char *path, struct buf *ret_text)
{
    const char *srcdir = getenv("srcdir");
    _cleanup_free_ char *full = xasprintf("%s/%s", srcdir ? srcdir : ".", path);
    FILE *file = fopen(full, "rb");
    assert_non_null(file);
    for (int c = getc(file); c != EOF; c = getc(file))
        buf_add_char(ret_text, (char)c);
    fclose(file);
}

static void read_text(const char *name, struct buf *ret_text)
{
    _cleanup_free_ char *path = xasprintf("tests/golden/repository/texts/%s", name);
    read_file(path, ret_text);
    assert_true(ret_text->len > 0);
}

static void assert_same(const struct buf *written, const struct buf *text)
{
    assert_string_equal(buf_str(written), buf_str(text));
    assert_int_equal(written->len, text->len);
}

static void document_shows_them(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *after; // what follows the text in its block
    } texts[] = {
        { "texts/bkd-repository", "```\n" },
        { "texts/head", "-----BEGIN SSH SIGNATURE-----\n" },
        { "repository/heads/0123456789abcdef0123456789abcdef/2", "```\n" },
        { "texts/refs", "```\n" },
        { "texts/manifest", "```\n" },
        { "texts/recipe", "```\n" },
        { "texts/record", "-----BEGIN SSH SIGNATURE-----\n" },
        { "repository/records/7e682a3c9b7470db4ba89d5e7d0a1c43249c099968f05bae5c49869bd89c6a08/2", "```\n" },
    };
    _cleanup_buf_ struct buf document = { 0 };
    read_file("doc/FORMAT.md", &document);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        _cleanup_free_ char *path = xasprintf("tests/golden/repository/%s", texts[i].name);
        _cleanup_buf_ struct buf text = { 0 }, block = { 0 };
        read_file(path, &text);
        buf_addf(&block, "```\n%s%s", buf_str(&text), texts[i].after);
        if (strstr(buf_str(&document), buf_str(&block)) == NULL)
            fail_msg("doc/FORMAT.md does not show %s as it is", path);
    }
}

static void repository_text(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 }, written = { 0 };
    struct format_repository repository;
    struct error err = { 0 };
    read_text("bkd-repository", &text);
    assert_int_equal(format_repository_parse(buf_str(&text), text.len, &repository, &err), 0);
    assert_false(repository.encrypted);
    format_repository_write(&written, &repository);
    assert_same(&written, &text);
}

static void head_text(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 }, written = { 0 };
    _cleanup_format_head_ struct format_head head = { 0 };
    struct error err = { 0 };
    read_text("head", &text);
    assert_int_equal(format_head_parse(buf_str(&text), text.len, &head, &err), 0);
    assert_string_equal(head.policy, "golden files");
    assert_int_equal(head.number, 2);
    format_head_write(&written, &head);
    assert_same(&written, &text);
}

static void refs_text(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 }, written = { 0 };
    _cleanup_format_refs_ struct format_refs refs = { 0 };
    struct error err = { 0 };
    read_text("refs", &text);
    assert_int_equal(format_refs_parse(buf_str(&text), text.len, &refs, &err), 0);
    assert_int_equal(refs.n, 2);
    format_refs_write(&written, &refs);
    assert_same(&written, &text);
}

static void recipe_text(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 }, written = { 0 };
    _cleanup_recipe_ struct recipe recipe = { 0 };
    struct error err = { 0 };
    read_text("recipe", &text);
    assert_int_equal(recipe_parse(buf_str(&text), text.len, &recipe, &err), 0);
    assert_int_equal(recipe.n_pieces, 1);
    assert_int_equal(recipe.pieces[0].n_ranges, 2);
    recipe_format(&written, &recipe);
    assert_same(&written, &text);
}

static void record_text(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 }, written = { 0 };
    _cleanup_record_ struct record record = { 0 };
    struct error err = { 0 };
    read_text("record", &text);
    assert_int_equal(record_parse(buf_str(&text), text.len, &record, &err), 0);
    assert_string_equal(record.reason, "change 1234");
    record_write(&written, &record);
    assert_same(&written, &text);
}

// Signed by ssh-keygen, believed by bkd: a tag, and a hold that was released.
static void records_are_read(void **state)
{
    (void)state;
    const char *srcdir = getenv("srcdir");
    _cleanup_free_ char *path = xasprintf("%s/tests/golden/repository/repository", srcdir ? srcdir : ".");
    _cleanup_buf_ struct buf signers = { 0 };
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_records_ struct records records = { 0 };
    const struct repository_head *head = NULL;
    struct store *store = NULL;
    struct error err = { 0 };
    read_file("tests/golden/repository/allowed_signers", &signers);
    assert_int_equal(store_open(io_real(), path, NULL, false, &store, &err), 0);
    assert_int_equal(repository_open(io_real(), store, buf_str(&signers), &repository, &err), 0);
    assert_int_equal(records_load(repository, buf_str(&signers), &records, &err), 0);
    assert_int_equal(records.n, 3);
    assert_int_equal(records_count_problems(&records), 0);
    assert_int_equal(tags_find(repository, buf_str(&signers), NULL, "before-the-move", &head, &err), 0);
    assert_int_equal(head->number, 2);
    assert_int_equal(records.items[1].record.kind, RECORD_HOLD);
    assert_memory_equal(records.items[2].record.holds[0], records.items[1].sha256, 32);
    assert_false(holds_is_held(&records, head));
}

static void manifest_text(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 }, written = { 0 };
    _cleanup_manifest_entry_ struct manifest_entry entry = { 0 };
    struct error err = { 0 };
    size_t lines = 0, odd = 0;
    read_text("manifest", &text);
    for (const char *line = buf_str(&text), *end; (end = strchr(line, '\n')) != NULL; line = end + 1, lines++) {
        assert_int_equal(manifest_parse(line, (size_t)(end - line), &entry, &err), 0);
        manifest_format(&written, &entry);
        odd += strcmp(buf_str(&entry.path), "/srv/data/-odd 100%\nname") == 0;
    }
    assert_int_equal(lines, 9);
    assert_int_equal(odd, 1);
    assert_same(&written, &text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(document_shows_them), cmocka_unit_test(repository_text), cmocka_unit_test(head_text),
        cmocka_unit_test(refs_text),           cmocka_unit_test(recipe_text),     cmocka_unit_test(manifest_text),
        cmocka_unit_test(record_text),         cmocka_unit_test(records_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
