// Words for a shell: what one makes of them is what they were.
#include "tests/codec/scratch.h"

#include <string.h>

#include "bkd/base/shell.h"

static void check(const char *word, const char *wanted)
{
    _cleanup_free_ char *got = shell_word(word);
    assert_string_equal(got, wanted);
}

static void test_plain_words_stay(void **state)
{
    (void)state;
    const char *const plain[] = { "erp", "/srv/erp", "sftp://backup@vault:2222/srv/bkd/erp", "--target=/mnt/new", "0.5", "50%", "a+b,c" };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        check(plain[i], plain[i]);
}

static void test_others_are_quoted(void **state)
{
    (void)state;
    check("", "''");
    check("/mnt/my dir", "'/mnt/my dir'");
    check("it's", "'it'\\''s'");
    check("$(reboot)", "'$(reboot)'");
    check("~root", "'~root'");
    check("PATH=x", "'PATH=x'");
    check("/srv/\xe5\xa4\x87\xe4\xbb\xbd", "'/srv/\xe5\xa4\x87\xe4\xbb\xbd'");
    check("a\nb's\\\xff", "$'a\\012b\\'s\\\\\\377'");
    check("a\xe2\x80\xae" "1", "$'a\\342\\200\\2561'"); // a mark that turns the direction of text
}

// Every byte, and what is special in a row: bash gives back what it was given.
static void test_bash_reads_them_back(void **state)
{
    (void)state;
    struct scratch s = scratch_new();
    _cleanup_buf_ struct buf command = { 0 };
    _cleanup_buf_ struct buf wanted = { 0 };
    buf_add_str(&command, "printf '%s|'");
    for (int c = 1; c < 256; c++) {
        char word[] = { 'a', (char)c, '1', '\0' };
        buf_add_char(&command, ' ');
        shell_add_word(&command, word);
        buf_addf(&wanted, "%s|", word);
    }
    for (int c = 1; c < 128; c++) {
        char word[] = { (char)c, ' ', (char)c, '\'', '\\', '\0' };
        buf_add_char(&command, ' ');
        shell_add_word(&command, word);
        buf_addf(&wanted, "%s|", word);
    }
    assert_null(memchr(command.data, '\n', command.len));
    scratch_write(&s, "command", command.data, command.len);
    scratch_run("LC_ALL=C.UTF-8 bash %s/command >%s/got", s.dir, s.dir);
    _cleanup_buf_ struct buf got = { 0 };
    scratch_read(&s, "got", &got);
    assert_int_equal(got.len, wanted.len);
    assert_memory_equal(got.data, wanted.data, wanted.len);
    scratch_done(&s);
}

static void test_commands(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf out = { 0 };
    shell_add_command(&out, (const char *const[]){ "ssh", "vault", "cd /srv && ls", "A=b", NULL });
    assert_string_equal(buf_str(&out), "ssh vault 'cd /srv && ls' 'A=b'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_words_stay),
        cmocka_unit_test(test_others_are_quoted),
        cmocka_unit_test(test_bash_reads_them_back),
        cmocka_unit_test(test_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
