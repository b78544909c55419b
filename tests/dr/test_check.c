// Each kind of check that needs no server of its own: what it lets pass, and that everything else fails and says why. Of http how addresses are told.
#include "tests/codec/scratch.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "bkd/dr/check.h"
#include "bkd/record/sql.h"

// Of "one\ntwo\n", by sha256sum(1).
#define NUMBERS_SHA256 "C3F9c8c283a2b1f2f1896f27a01cbe3cddc0c9d93f752e4639035a0f5b36f6e8"

// A check as the reader of policies leaves it: a text that was not given is "".
static struct policy_check check_of(enum policy_check_type type)
{
    static char none[] = "";
    return (struct policy_check){ .type = type, .name = none, .timeout_s = 60, .user = none, .file = none, .sha256 = none, .pattern = none, .query = none,
                                  .expect = none, .directory = none, .dump = none, .database = none, .url = none };
}

// A tree with a file of two lines, an empty one, a directory and a link that leads out.
static struct scratch make_tree(void)
{
    struct scratch s = scratch_new();
    scratch_write(&s, "numbers", "one\ntwo\n", 8);
    scratch_write(&s, "empty", "", 0);
    scratch_run("mkdir '%s/directory' && ln -s /etc/passwd '%s/outside'", s.dir, s.dir);
    return s;
}

static struct check_outcome outcome_of(const struct scratch *s, const struct policy_check *check)
{
    const struct check_tree tree = { .io = io_real(), .path = s->dir, .policy = "erp", .snapshot = 7 };
    struct check_outcome outcome;
    check_execute(&tree, check, &outcome);
    return outcome;
}

static void passes(const struct scratch *s, const struct policy_check *check)
{
    struct check_outcome outcome = outcome_of(s, check);
    if (!outcome.passed)
        fail_msg("%s", outcome.message);
}

static void fails(const struct scratch *s, const struct policy_check *check, const char *because)
{
    struct check_outcome outcome = outcome_of(s, check);
    assert_false(outcome.passed);
    if (strstr(outcome.message, because) == NULL)
        fail_msg("'%s' does not say '%s'", outcome.message, because);
}

// ---- file

static struct policy_check file_check(char *file)
{
    struct policy_check check = check_of(POLICY_CHECK_FILE);
    check.file = file;
    return check;
}

static void test_file_is_there(void **state)
{
    (void)state;
    static char numbers[] = "numbers", empty[] = "empty", directory[] = "directory", gone[] = "gone", outside[] = "outside", above[] = "../../etc/passwd";
    _cleanup_scratch_ struct scratch s = make_tree();
    char *const there[] = { numbers, empty, directory }, *const missing[] = { gone, outside, above };
    for (size_t i = 0; i < 3; i++) {
        struct policy_check check = file_check(there[i]);
        passes(&s, &check);
        check = file_check(missing[i]); // nor is what a path leads to outside of the tree
        fails(&s, &check, missing[i]);
    }
}

static void test_file_size(void **state)
{
    (void)state;
    static const struct {
        uint64_t min, max;
        const char *because; // NULL: it passes
    } cases[] = { { 8, 0, NULL }, { 0, 8, NULL }, { 8, 8, NULL }, { 9, 0, "at least 9" }, { 0, 7, "at most 7" } };
    static char numbers[] = "numbers", directory[] = "directory";
    _cleanup_scratch_ struct scratch s = make_tree();
    struct policy_check check = file_check(numbers);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check.min_size_bytes = cases[i].min;
        check.max_size_bytes = cases[i].max;
        if (cases[i].because == NULL)
            passes(&s, &check);
        else
            fails(&s, &check, cases[i].because);
    }
    check = file_check(directory);
    check.min_size_bytes = 1;
    fails(&s, &check, "no regular file");
}

static void test_file_content(void **state)
{
    (void)state;
    static char numbers[] = "numbers", hash[] = NUMBERS_SHA256, whole_line[] = "^t.o$", two_lines[] = "one.*two", broken[] = "(";
    _cleanup_scratch_ struct scratch s = make_tree();
    struct policy_check check = file_check(numbers);
    check.sha256 = hash;
    passes(&s, &check);
    check.pattern = whole_line; // both
    passes(&s, &check);
    check.pattern = two_lines; // it is lines that match
    fails(&s, &check, "no line of");
    check.pattern = broken;
    fails(&s, &check, "no extended regular expression");
    check = file_check(numbers);
    check.sha256 = hash;
    scratch_write(&s, "numbers", "one\ntwO\n", 8);
    fails(&s, &check, "has the SHA-256");
}

// ---- command

static struct policy_check sh_check(char *script)
{
    static char sh[] = "/bin/sh", option[] = "-c";
    static char *words[4];
    struct policy_check check = check_of(POLICY_CHECK_COMMAND);
    words[0] = sh;
    words[1] = option;
    words[2] = script;
    check.run = (struct policy_list){ .items = words, .count = 3 };
    return check;
}

static void test_command(void **state)
{
    (void)state;
    static char good[] = "test -s numbers && test \"$BKD_POLICY $BKD_SNAPSHOT\" = 'erp 7' && test \"$BKD_TREE\" -ef .";
    static char bad[] = "echo on its way; echo the table is gone >&2; exit 3", endless[] = "sleep 600", killed[] = "kill -9 $$";
    _cleanup_scratch_ struct scratch s = make_tree();
    struct policy_check check = sh_check(good);
    passes(&s, &check);
    check = sh_check(bad);
    fails(&s, &check, "exited with status 3: the table is gone");
    check = sh_check(killed);
    fails(&s, &check, "signal");
    check = sh_check(endless);
    check.timeout_s = 1;
    fails(&s, &check, "timeout");
}

// ---- http

// Answers whatever it is asked, until it is ended; a check that fails leaves nobody behind.
static _Noreturn void answer_everybody(int fd)
{
    static const char answer[] = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok";
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        char asked[4096];
        int peer = accept(fd, NULL, NULL);
        if (read(peer, asked, sizeof asked) > 0 && write(peer, answer, sizeof answer - 1) > 0)
            (void)shutdown(peer, SHUT_WR);
        (void)close(peer);
    }
}

static pid_t listen_somewhere(unsigned *ret_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 8) == 0 && getsockname(fd, (struct sockaddr *)&at, &n) == 0);
    *ret_port = ntohs(at.sin_port);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        answer_everybody(fd);
    (void)close(fd);
    return child;
}

// An address is told without its password and what stands in its query.
static void test_addresses_are_told_without_secrets(void **state)
{
    (void)state;
    // What is before the port and behind it; what is told of that.
    static const struct {
        const char *before, *behind, *told;
    } asked[] = {
        { "", "/app", "/app" },
        { "ana:secret@", "/app", "/app" },
        { "", "/app?token=secret@x", "/app?..." },
        { "ana:secret@", "?token=secret", "?..." },
        { "", "/~ana@home/app", "/~ana@home/app" },
    };
    static char program[] = "/bin/true";
    static char *words[] = { program, NULL };
    _cleanup_scratch_ struct scratch s = make_tree();
    unsigned port = 0;
    pid_t server = listen_somewhere(&port);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct policy_check check = check_of(POLICY_CHECK_HTTP);
        char url[128], expected[256];
        (void)snprintf(url, sizeof url, "http://%s127.0.0.1:%u%s", asked[i].before, port, asked[i].behind);
        (void)snprintf(expected, sizeof expected, "'http://127.0.0.1:%u%s' answers (status 200) before '/bin/true' was started", port, asked[i].told);
        check.url = url;
        check.status = 200;
        check.run = (struct policy_list){ .items = words, .count = 1 };
        fails(&s, &check, expected);
    }
    assert_int_equal(kill(server, SIGKILL), 0);
    assert_int_equal(waitpid(server, NULL, 0), server);
}

// ---- databases

// A table of three numbers; `more` is done to it as well.
static void make_database(const struct scratch *s, const char *more)
{
    char path[128];
    struct sql *db = NULL;
    struct error err;
    (void)snprintf(path, sizeof path, "%s/db", s->dir);
    (void)unlink(path);
    if (sql_open(path, SQL_CREATE, 1000, &db, &err) < 0 || sql_do(db, "CREATE TABLE t (x CHECK (x > 0))", SQL_NOTHING, &err) < 0 ||
        sql_do(db, "INSERT INTO t VALUES (1), (2), (42)", SQL_NOTHING, &err) < 0 || sql_do(db, "PRAGMA ignore_check_constraints = ON", SQL_NOTHING, &err) < 0 ||
        sql_do(db, more, SQL_NOTHING, &err) < 0)
        fail_msg("%s", err.text);
    sql_close(db);
}

// Blanks around an answer are nothing; all else is.
static void test_expected(void **state)
{
    (void)state;
    static char file[] = "db", query[] = "SELECT ' 42|x'";
    static char right[][8] = { "42|x", "\t42|x\n", "" }, wrong[][8] = { "42|y", "42|xx", "42|", "2|x", "42 |x" };
    _cleanup_scratch_ struct scratch s = make_tree();
    struct policy_check check = check_of(POLICY_CHECK_SQLITE);
    make_database(&s, "DELETE FROM t");
    check.file = file;
    check.query = query;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        check.expect = right[i];
        passes(&s, &check);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        check.expect = wrong[i];
        fails(&s, &check, "was expected");
    }
}

static void test_sqlite(void **state)
{
    (void)state;
    static char file[] = "db", numbers[] = "numbers", empty[] = "empty", query[] = "SELECT count(*), max(x) FROM t", answer[] = "3|42", other[] = "3|41",
                no_query[] = "SELECT y FROM t", endless[] = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT count(*) FROM c";
    _cleanup_scratch_ struct scratch s = make_tree();
    struct policy_check check = check_of(POLICY_CHECK_SQLITE);
    make_database(&s, "DELETE FROM t WHERE x < 0");
    check.file = file;
    passes(&s, &check);
    check.query = query;
    check.expect = answer;
    passes(&s, &check);
    check.expect = other;
    fails(&s, &check, "gives '3|42', and '3|41' was expected");
    check.query = no_query;
    fails(&s, &check, "no such column");
    check.query = endless;
    check.timeout_s = 1;
    fails(&s, &check, "longer than 1");
    check = check_of(POLICY_CHECK_SQLITE);
    check.file = numbers;
    fails(&s, &check, "not a database");
    check.file = empty;
    fails(&s, &check, "the file is empty");
    make_database(&s, "INSERT INTO t VALUES (-1)"); // which integrity_check finds
    check.file = file;
    fails(&s, &check, "integrity_check says");
}

// ---- mtree

static void test_mtree(void **state)
{
    (void)state;
    static char specification[128];
    _cleanup_scratch_ struct scratch s = make_tree(), beside = scratch_new();
    struct policy_check check = check_of(POLICY_CHECK_MTREE);
    (void)snprintf(specification, sizeof specification, "%s/mtree", beside.dir);
    check.file = specification;
    if (system("command -v mtree >/dev/null") != 0) {
        fails(&s, &check, "apt-get install mtree-netbsd");
        return;
    }
    scratch_run("mtree -c -k type,size,sha256 -p '%s' >'%s'", s.dir, specification);
    passes(&s, &check);
    scratch_write(&s, "numbers", "one\ntwO\n", 8);
    fails(&s, &check, "exited with status 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_is_there), cmocka_unit_test(test_file_size), cmocka_unit_test(test_file_content), cmocka_unit_test(test_command),
        cmocka_unit_test(test_expected),      cmocka_unit_test(test_sqlite),    cmocka_unit_test(test_mtree),
        cmocka_unit_test(test_addresses_are_told_without_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
