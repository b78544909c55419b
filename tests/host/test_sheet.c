// The recovery sheet: fits a page, says what is needed, and its QR code reads back (by zbarimg, where there is one).
#include "tests/codec/scratch.h"

#include "bkd/host/sheet.h"

#define IDENTITY "AGE-SECRET-KEY-1PPYT78QUJMCNZA282NFH0JSPAKF4E8VL70TKZK7GJRXN82QRHW2SX7E3FP"
#define HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct sheet full = {
    .host = "db1.example",
    .printed = "2026-11-23T08:00:00Z",
    .identity = IDENTITY,
    .recipient = "age12czmw7fqe9x6ltfsdgeeslt9fsqed9lfhuw9576t5cnhw2r3t5gs6npaj0",
    .signers = "# Whose signatures count\n"
               "bkd@db1.example namespaces=\"bkd-repository@v1,bkd-head@v1,bkd-record@v1,bkd-recover@v1\" "
               "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea\n"
               "bkd-retention@db1.example namespaces=\"bkd-retention@v1\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAID1AF8Poh4lasrcKp00f672YnCzPLslJbIDMBV8SryRm\n",
    .policy = "erp",
    .repository = "/var/backups/bkd/erp",
    .repository_id = "6f0c6f0c6f0c6f0c6f0c6f0c6f0c6f0c",
    .chain = "00112233445566778899aabbccddeeff",
    .head_number = "42",
    .head_time = "2026-11-22T22:00:00Z",
    .head_sha256 = HASH,
    .recover_sha256 = HASH,
};

// Columns of UTF-8 text: bytes that are not continuations.
static size_t columns(const char *line, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)line[i] & 0xc0) != 0x80;
    return count;
}

static void test_one_page(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 };
    struct error err;
    scratch_ok(sheet_format(&full, false, &text, &err), &err);
    size_t lines = 0;
    for (const char *at = buf_str(&text); *at != '\0'; lines++) {
        size_t n = strcspn(at, "\n");
        if (columns(at, n) > SHEET_COLUMNS)
            fail_msg("%zu columns: %.*s", columns(at, n), (int)n, at);
        assert_true(n == 0 || at[n - 1] != ' ');
        at += n + 1;
    }
    if (lines > SHEET_LINES)
        fail_msg("%zu lines", lines);
    static const char *const said[] = { IDENTITY, "/var/backups/bkd/erp", "snapshot     42 of", HASH, "bkd@db1.example namespaces=", "ssh-ed25519 AAAAC3", "sha256sum",
                                        "R='/var/backups/bkd/erp'\n",
                                        "bkd-restore -r \"$R\" -i IDENTITY.txt --signers allowed_signers restore latest",
                                        "BKD_SIGNERS=allowed_signers sh \"$R/recover.sh\" \"$R\" IDENTITY.txt" };
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (strstr(buf_str(&text), said[i]) == NULL)
            fail_msg("'%s' is missing in:\n%s", said[i], buf_str(&text));
    assert_null(strstr(buf_str(&text), "Whose signatures count")); // comments of the file are not repeated
    assert_null(strchr(buf_str(&text), '\033'));
}

static void test_what_is_not_known(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 }, plain = { 0 };
    struct error err;
    struct sheet s = { .host = "h", .printed = "now", .identity = IDENTITY, .signers = full.signers };
    scratch_ok(sheet_format(&s, false, &text, &err), &err);
    assert_null(strstr(buf_str(&text), "(null)"));
    assert_non_null(strstr(buf_str(&text), "write its address here"));
    s = full;
    s.identity = s.recipient = s.chain = s.head_number = NULL;
    s.repository = "/a b/it's";
    scratch_ok(sheet_format(&s, false, &plain, &err), &err);
    assert_null(strstr(buf_str(&plain), "(null)"));
    assert_null(strstr(buf_str(&plain), "-i IDENTITY"));
    assert_non_null(strstr(buf_str(&plain), "not encrypted"));
    assert_non_null(strstr(buf_str(&plain), "none yet"));
    assert_non_null(strstr(buf_str(&plain), "R='/a b/it'\\''s'\n"));
}

// The half blocks of a line as two rows of pixels: ESC sequences are skipped.
static size_t pixels(const char *line, size_t n, uint8_t *upper, uint8_t *lower)
{
    size_t count = 0;
    for (size_t i = 0; i < n;) {
        if (line[i] == '\033') {
            i += strcspn(line + i, "m") + 1;
            continue;
        }
        bool block = (unsigned char)line[i] == 0xe2;
        unsigned char kind = block ? (unsigned char)line[i + 2] : 0;
        upper[count] = kind == 0x88 || kind == 0x80 ? 0 : 255;
        lower[count++] = kind == 0x88 || kind == 0x84 ? 0 : 255;
        i += block ? 3 : 1;
    }
    return count;
}

#define SCALE 4
#define SIDE 64

static void test_qr_reads_back(void **state)
{
    (void)state;
    if (system("command -v zbarimg >/dev/null 2>&1") != 0)
        skip();
    _cleanup_scratch_ struct scratch s = scratch_new();
    for (int terminal = 0; terminal < 2; terminal++) {
        _cleanup_buf_ struct buf text = { 0 }, image = { 0 }, read = { 0 };
        struct error err;
        scratch_ok(sheet_qr(IDENTITY, terminal != 0, &text, &err), &err);
        uint8_t rows[SIDE][SIDE], upper[256], lower[256];
        memset(rows, 255, sizeof rows);
        size_t row = 6;
        for (const char *at = buf_str(&text); *at != '\0'; row += 2) {
            size_t n = strcspn(at, "\n"), count = pixels(at, n, upper, lower);
            assert_true(count < SIDE && row + 1 < SIDE);
            memcpy(rows[row], upper, count);
            memcpy(rows[row + 1], lower, count);
            at += n + 1;
        }
        buf_addf(&image, "P5\n%d %d\n255\n", SIDE * SCALE, SIDE * SCALE);
        for (size_t y = 0; y < SIDE * SCALE; y++)
            for (size_t x = 0; x < SIDE * SCALE; x++)
                buf_add_char(&image, (char)rows[y / SCALE][x / SCALE]);
        scratch_write(&s, "qr.pgm", image.data, image.len);
        scratch_run("cd %s && zbarimg -q --raw qr.pgm > read 2>/dev/null", s.dir);
        scratch_read(&s, "read", &read);
        assert_string_equal(buf_str(&read), IDENTITY "\n");
    }
}

static void test_qr_lines(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 };
    struct error err;
    uint8_t upper[256], lower[256];
    size_t lines = 0;
    scratch_ok(sheet_qr(IDENTITY, true, &text, &err), &err);
    for (const char *at = buf_str(&text); *at != '\0'; lines++) {
        size_t n = strcspn(at, "\n");
        assert_int_equal(pixels(at, n, upper, lower), 2 + 33 + 8); // version 4 with its quiet zone
        at += n + 1;
    }
    assert_int_equal(lines, (33 + 8 + 1) / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_page),
        cmocka_unit_test(test_what_is_not_known),
        cmocka_unit_test(test_qr_lines),
        cmocka_unit_test(test_qr_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
