// Hostile snapshots: what a stolen signing key could sign and what the owner of the store could put there. Each is restored by a process of its
// own, as root (where the test is) and as an ordinary user, beside canaries; afterwards find(1), stat times and sha256sum must see nothing
// changed outside the target, and what is refused must be named.
#include "tests/restore/jail.h"

#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/codec/zframe.h"

static unsigned restores, refusals; // for the last line

// ---- a case: entries that are written into a fixture, and what must come of them

enum expect {
    REFUSE,  // exit 4, and the entry is named
    ANYHOW,  // whatever happens, nothing outside changes
    WELCOME, // odd but harmless: it is restored
};

struct hostile {
    const char *name;  // of the case, and what a refusal must mention
    enum expect expect;
    const char *lines; // manifest, %O = jail/out, %A = a place of 5 good bytes with their SHA-256, %X = place of `xattr`
    const char *xattr; // what stands at %X: a text of attributes, or a recipe
};

// Replaces the %-words of a case's lines.
static void add_lines(struct fixture *f, const struct hostile *h)
{
    struct buf text = { 0 }, at = { 0 }, xattr = { 0 };
    struct place place = fixture_member(f, "whole", "evil\n", 5);
    uint8_t sha256[32];
    crypto_sha256("evil\n", 5, sha256);
    buf_add_str(&at, "size=5 sha256=");
    buf_add_hex(&at, sha256, sizeof sha256);
    buf_add_str(&at, " at=");
    place_format(&at, &place);
    if (h->xattr != NULL) {
        place = fixture_member(f, "xattr", h->xattr, strlen(h->xattr));
        place_format(&xattr, &place);
    }
    for (const char *p = h->lines; *p != '\0'; p++) {
        if (p[0] == '%' && p[1] == 'O')
            buf_addf(&text, "%s/jail/out", f->dir), p++;
        else if (p[0] == '%' && p[1] == 'A' && p[-1] == ' ')
            buf_add_str(&text, buf_str(&at)), p++;
        else if (p[0] == '%' && p[1] == 'X')
            buf_add_str(&text, buf_str(&xattr)), p++;
        else if (p[0] == '%' && p[1] == 'M')
            buf_addf(&text, "uid=%u gid=%u mtime=1.000000000", (unsigned)geteuid(), (unsigned)getegid()), p++;
        else
            buf_add_char(&text, *p);
    }
    buf_add(&f->manifest, text.data, text.len);
    for (const char *p = buf_str(&text); (p = strchr(p, '\n')) != NULL; p++)
        f->entries++;
    buf_done(&text);
    buf_done(&at);
    buf_done(&xattr);
}

static void try_all_ways(struct fixture *f, const char *name, enum expect expect, bool untrusted)
{
    _cleanup_free_ char *before = jail_look(f);
    static unsigned turn; // who is strict and who goes on takes turns
    turn++;
    for (int way = 0; way < 2; way++) {
        bool user = geteuid() == 0 && (turn + (unsigned)way) % 2 == 0, keep_going = way != 0;
        struct run_options options = { .keep_going = keep_going, .untrusted = untrusted };
        struct jail_outcome o = jail_restore(f, keep_going ? "jail/t-k" : "jail/t-s", &options, user);
        jail_check(f, before, name);
        bool refused = o.code == ERROR_INTEGRITY || o.code == ERROR_KEY;
        if (expect == REFUSE && !refused)
            fail_msg("%s was not refused: %d %s", name, o.code, o.err.text);
        if (expect == REFUSE && !keep_going && strstr(o.err.text, name) == NULL)
            fail_msg("the refusal does not name '%s': %s", name, o.err.text);
        if (expect == WELCOME && o.code != 0 && o.code != ERROR_INCOMPLETE)
            fail_msg("%s was refused: %s", name, o.err.text);
        restores++;
        refusals += refused;
    }
}

static void run_case(const struct hostile *h, bool untrusted)
{
    struct fixture f;
    fixture_init(&f, false);
    jail_make(&f);
    add_lines(&f, h);
    fixture_commit(&f);
    fixture_run("chmod -R a+rX '%s/repo'", f.dir);
    try_all_ways(&f, h->name, h->expect, untrusted);
    fixture_done(&f);
}

// ---- S-01: names, for each type of entry

static const char *const bad_names[] = {
    "../bkd-n", "/../bkd-n", "/a/../bkd-n", "/a/../../bkd-n", "/..", "/.", "/./bkd-n", "/a/.", "/a/..", "//bkd-n", "/a//bkd-n", "/a/", "/a/b/",
    "bkd-n", "a/bkd-n", "./bkd-n", "..", ".", "stream/../bkd-n", "stream/..", "stream/a/bkd-n", "stream/", "stream", "/%2E%2E/bkd-n", "/%2e%2e/bkd-n",
    "/a%2F..%2Fbkd-n", "/a%00bkd-n", "/bkd-n%", "/bkd-n%2", "/bkd-n%zz", "/a%2F%2Fbkd-n", "/%2E", "/a/%2E%2E", "%2Fbkd-n/..",
};

static void test_names(void **state)
{
    static const char *const rests[] = { "f mode=0644 %M %A", "d mode=0755 %M", "l mode=0777 %M target=%O/file", "p mode=0644 %M" };
    (void)state;
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++)
        for (size_t k = 0; k < sizeof rests / sizeof *rests; k += 1 + i % 3) {
            _cleanup_free_ char *lines = xasprintf("/ d mode=0755 %%M\n%s %s\n", bad_names[i], rests[k]);
            run_case(&(struct hostile){ bad_names[i], REFUSE, lines, NULL }, false);
        }
}

// ---- S-02, S-03, S-05, S-08: links, orders, duplicates, sizes, malformed lines

#define ROOT "/ d mode=0755 %M\n"
#define ZERO "0000000000000000000000000000000000000000000000000000000000000000"
#define VERSION(size) ROOT "/a f mode=0644 %M size=" size " sha256=" ZERO " version=%X\n"
#define RECIPE(size) "bkd-recipe/1\nid 33333333333333333333333333333333\nsize " size "\nsha256 " ZERO "\nbase - -\nchain 1\n"
static const struct hostile cases[] = {
    { "/l/evil", REFUSE, ROOT "/l l mode=0777 %M target=%O\n/l/evil f mode=0644 %M %A\n", NULL },
    { "/l/evil", REFUSE, ROOT "/l l mode=0777 %M target=%O\n/l/evil d mode=0777 %M\n", NULL },
    { "/l/evil", REFUSE, ROOT "/l l mode=0777 %M target=%O\n/l/evil l mode=0777 %M target=x\n", NULL },
    { "/l/evil", REFUSE, ROOT "/l l mode=0777 %M target=%O\n/l/evil p mode=0777 %M\n", NULL },
    { "/l/file", REFUSE, ROOT "/l l mode=0777 %M target=%O\n/l/file f mode=0644 %M %A\n", NULL },
    { "/l/file", REFUSE, ROOT "/l l mode=0777 %M target=../out\n/l/file f mode=0644 %M %A\n", NULL },
    { "/l/dir", REFUSE, ROOT "/l l mode=0777 %M target=%O\n/l/dir d mode=0700 %M\n/l/dir/file f mode=0600 %M %A\n", NULL },
    { "/a/l/x", REFUSE, ROOT "/a d mode=0755 %M\n/a/l l mode=0777 %M target=..\n/a/l/x f mode=0644 %M %A\n", NULL },
    { "/a/l/x", REFUSE, ROOT "/a d mode=0755 %M\n/a/l l mode=0777 %M target=/\n/a/l/x f mode=0644 %M %A\n", NULL },
    { "/l", REFUSE, ROOT "/l d mode=0755 %M\n/l l mode=0777 %M target=%O\n/l/evil f mode=0644 %M %A\n", NULL },
    { "/l", REFUSE, ROOT "/l l mode=0777 %M target=%O\n/l d mode=0755 %M\n/l/evil f mode=0644 %M %A\n", NULL },
    { "/l", REFUSE, ROOT "/l l mode=0777 %M target=%O/file\n/l f mode=0644 %M %A\n", NULL },
    { "/l", REFUSE, ROOT "/l f mode=0644 %M %A\n/l l mode=0777 %M target=%O/file\n", NULL },
    { "/l", REFUSE, ROOT "/l f mode=0644 %M %A\n/l f mode=0644 %M %A\n", NULL },
    { "/l", REFUSE, ROOT "/l/evil f mode=0644 %M %A\n/l l mode=0777 %M target=%O\n", NULL },
    { "/a", REFUSE, ROOT "/b d mode=0755 %M\n/a l mode=0777 %M target=%O\n/a/x f mode=0644 %M %A\n", NULL },
    { "/", REFUSE, ROOT ROOT "/a f mode=0644 %M %A\n", NULL },
    { "/f/x", REFUSE, ROOT "/f f mode=0644 %M %A\n/f/x f mode=0644 %M %A\n", NULL },
    { "/p/x", REFUSE, ROOT "/p p mode=0644 %M\n/p/x f mode=0644 %M %A\n", NULL },
    { "/d/x", REFUSE, ROOT "/d/x f mode=0644 %M %A\n", NULL },
    { "/d/e/f", REFUSE, ROOT "/d d mode=0755 %M\n/d/e/f f mode=0644 %M %A\n", NULL },
    // the root itself something else
    { "/", ANYHOW, "/ l mode=0777 %M target=%O\n/evil f mode=0644 %M %A\n", NULL },
    { "/", ANYHOW, "/ f mode=0644 %M %A\n/evil f mode=0644 %M %A\n", NULL },
    { "/", ANYHOW, "/ p mode=0644 %M\n", NULL },
    { "no root", ANYHOW, "/evil f mode=0644 %M %A\n", NULL },
    // hard links
    { "hard link to a link", ANYHOW, ROOT "/a l mode=0777 %M target=%O/file hardlink=1\n/b f mode=0666 %M size=5 hardlink=1\n", NULL },
    { "hard link to a link", ANYHOW, ROOT "/a l mode=0777 %M target=%O/file hardlink=1\n/b l mode=0777 %M target=x hardlink=1\n", NULL },
    { "hard link of a directory", ANYHOW, ROOT "/a d mode=0755 %M hardlink=1\n/b d mode=0700 %M hardlink=1\n/b/c f mode=0644 %M %A\n", NULL },
    { "/l/", REFUSE, ROOT "/a p mode=0644 %M hardlink=1\n/l l mode=0777 %M target=%O\n/l/b p mode=0644 %M hardlink=1\n/l/c f mode=0644 %M %A\n", NULL },
    { "/l/a", REFUSE, ROOT "/l l mode=0777 %M target=%O\n/l/a p mode=0644 %M hardlink=1\n/z p mode=0644 %M hardlink=1\n", NULL },
    { "first name refused", ANYHOW, ROOT "/l l mode=0777 %M target=%O\n/l/file f mode=0644 %M size=5 hardlink=1\n/z f mode=0644 %M size=5 hardlink=1\n", NULL },
    { "hard link with other types", ANYHOW, ROOT "/a p mode=0644 %M hardlink=1\n/b c mode=0666 %M device=1,3 hardlink=1\n/c l mode=0777 %M target=%O hardlink=1\n", NULL },
    // links that are only links
    { "links out", WELCOME, ROOT "/a l mode=0777 %M target=%O/file\n/b l mode=0777 %M target=/etc/passwd\n/c l mode=0777 %M target=../../..\n", NULL },
    { "link to itself", WELCOME, ROOT "/a l mode=0777 %M target=a\n/b l mode=0777 %M target=c\n/c l mode=0777 %M target=b\n", NULL },
    // sizes and places
    { "/a", REFUSE, ROOT "/a f mode=0644 %M size=9223372036854775808\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M size=18446744073709551616\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M size=-1\n", NULL },
    { "too large for any disk", ANYHOW, ROOT "/a f mode=0644 %M size=9223372036854775807\n", NULL },
    { "too large for any disk", ANYHOW, ROOT "/a f mode=0644 %M size=9223372036854775807 at=1:0+9223372036854775807\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M size=5\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M size=5 at=1:0+5\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M size=4 at=1:0+5\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M size=5 sha256=0000000000000000000000000000000000000000000000000000000000000000 at=1:0+5\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M size=5 sha256=0000000000000000000000000000000000000000000000000000000000000000 at=77:0+5\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M size=5 sha256=0000000000000000000000000000000000000000000000000000000000000000 at=1:99999999999+5\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M size=5 sha256=0000000000000000000000000000000000000000000000000000000000000000 at=1:18446744073709551610+5\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M size=5 sha256=0000000000000000000000000000000000000000000000000000000000000000 at=0:0+5\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M size=16777217 at=1:0+16777217\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M size=5 version=1:0+5\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M size=5 version=1:0+4294967295\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M size=5 version=9:0+100\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M size=5 version=0:0+100\n", NULL },
    // malformed lines
    { "/a", REFUSE, ROOT "/a x mode=0644 %M\n", NULL },
    { "/a", REFUSE, ROOT "/a\n", NULL },
    { "/a", REFUSE, ROOT "/a f\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=7777777 %M %A\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 uid=4294967296 gid=0 mtime=1.000000000 %A\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 uid=-1 gid=0 mtime=1.000000000 %A\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 uid=0 gid=0 mtime=99999999999999999999.000000000 %A\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 uid=0 gid=0 mtime=1.0 %A\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M %A mode=0777\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M %A unknown=1\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M %A \n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M %A\r\n", NULL },
    { "/a", REFUSE, ROOT "/a l mode=0777 %M target=\n", NULL },
    { "/a", REFUSE, ROOT "/a l mode=0777 %M target=x%00y\n", NULL },
    { "/a", REFUSE, ROOT "/a c mode=0666 %M device=1\n", NULL },
    { "/a", REFUSE, ROOT "/a c mode=0666 %M device=4294967296,3\n", NULL },
    { "/a", REFUSE, ROOT "/a d mode=0755 %M xattr=0:0+5\n", NULL },
    { "/a", REFUSE, ROOT "/a f mode=0644 %M %A note=lies\n", NULL },
    { "/a", REFUSE, ROOT "/a d mode=0755 %M flags=123456789\n", NULL },
    { "middle of a line", REFUSE, ROOT "/a f mode=0644 %M %A", NULL },
    // odd, but only odd
    { "odd names", WELCOME, ROOT "/%20- d mode=0755 %M\n/-rf f mode=0644 %M %A\n/... f mode=0644 %M %A\n/..x d mode=0755 %M\n/..x/y f mode=0644 %M %A\n/~ f mode=0644 %M %A\n", NULL },
    { "control bytes", WELCOME, ROOT "/%0A%0D%1B[2J f mode=0644 %M %A\n/\xff\xc0\xaf f mode=0644 %M %A\n", NULL },
    { "/%7F", REFUSE, ROOT "/%7F%FF%C0%AF f mode=0644 %M %A\n", NULL }, // not written as it must be
    { "times", ANYHOW, ROOT "/a f mode=0644 uid=0 gid=0 mtime=9223372036854775807.999999999 %A\n/b d mode=0755 uid=0 gid=0 mtime=-9223372036854775808.000000000\n", NULL },
    { "owners", ANYHOW, ROOT "/a f mode=6777 uid=4294967295 gid=4294967295 mtime=1.000000000 %A\n/b l mode=0777 uid=4294967294 gid=1 mtime=1.000000000 target=%O/file\n", NULL },
    { "flags", ANYHOW, ROOT "/a f mode=0644 %M %A\n/b d mode=0755 %M flags=ffffffff\n", NULL },
    { "devices", ANYHOW, ROOT "/a c mode=0666 %M device=1,5\n/b b mode=0666 %M device=4294967295,4294967295\n", NULL },
    // attributes: text that is none, names that reach far
    { "xattr text", ANYHOW, ROOT "/a f mode=0644 %M xattr=%X\n/b d mode=0755 %M xattr=%X\n", "no line feed" },
    { "xattr text", ANYHOW, ROOT "/b d mode=0755 %M xattr=%X\n", "=0x00\n" },
    { "xattr text", ANYHOW, ROOT "/b d mode=0755 %M xattr=%X\n", "user.a=0x0\n" },
    { "xattr text", ANYHOW, ROOT "/b d mode=0755 %M xattr=%X\n", "user.a=\"text\"\n" },
    { "xattr text", ANYHOW, ROOT "/b d mode=0755 %M xattr=%X\n", "user.\\000=0x00\nuser.\\999=0x00\nuser.\\\n" },
    { "xattr text", ANYHOW, ROOT "/b d mode=0755 %M xattr=%X\n/l l mode=0777 %M target=%O/file xattr=%X\n", "trusted.overlay.redirect=0x2f657463\ntrusted.overlay.opaque=0x79\n" },
    { "xattr text", ANYHOW, ROOT "/b d mode=0755 %M xattr=%X\n/l l mode=0777 %M target=%O/file xattr=%X\n", "system.posix_acl_access=0x0200000001000700ffffffff\nsystem.posix_acl_default=0xffffffffffff\n" },
    { "xattr text", ANYHOW, ROOT "/l l mode=0777 %M target=%O/file xattr=%X\n", "security.capability=0x0100000200200000000000000000000000000000\nuser.x=0x31\n" },
    { "xattr place", ANYHOW, ROOT "/b d mode=0755 %M xattr=88:0+5\n", NULL },
    // recipes
    { "/a", REFUSE, VERSION("5"), RECIPE("5") "piece whole 5 " ZERO " 1:0+5\n" },
    { "/a", REFUSE, VERSION("5"), RECIPE("5") "piece whole 5 " ZERO " 1:99999999+5\n" },
    { "/a", REFUSE, VERSION("5"), RECIPE("5") "piece whole 5 " ZERO " 99:0+5\n" },
    { "/a", REFUSE, VERSION("5"), RECIPE("5") "piece whole 5 " ZERO " 0:0+5\n" },
    { "/a", REFUSE, VERSION("5"), RECIPE("6") "piece whole 6 " ZERO " 1:0+6\n" },
    { "/a", REFUSE, VERSION("5"), RECIPE("5") "piece whole 16777216 " ZERO " 1:0+16777216\n" },
    { "/a", REFUSE, VERSION("5"), RECIPE("5") "piece delta 5 " ZERO " 1:0+5\nranges 1:0+5\n" },
    { "/a", REFUSE, VERSION("5"), RECIPE("5") },
    { "/a", REFUSE, VERSION("5"), RECIPE("5") "extent 4+18446744073709551615\npiece whole 5 " ZERO " 1:0+5\n" },
    { "/a", REFUSE, VERSION("5"), RECIPE("5") "extent 0+5\nextent 0+5\npiece whole 5 " ZERO " 1:0+5\n" },
    { "too large for any disk", ANYHOW, VERSION("9223372036854775807"), RECIPE("9223372036854775807") },
    { "too large for any disk", ANYHOW, VERSION("1099511627776"), RECIPE("1099511627776") "piece hole 16777216 " ZERO " -\n" },
    { "/a", REFUSE, VERSION("5"), "bkd-recipe/1\n" },
    { "/a", REFUSE, VERSION("5"), "\n\n\n" },
    { "/a", REFUSE, VERSION("5"), "bkd-recipe/2\nid 33333333333333333333333333333333\n" },
    { "xattr place", ANYHOW, ROOT "/b d mode=0755 %M xattr=1:0+99999999\n", NULL },
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run_case(&cases[i], false);
}

// The same with --untrusted: nothing in the target raises rights, and each entry that was stripped is counted.
static void test_untrusted(void **state)
{
    struct fixture f;
    struct hostile h = { "rights", WELCOME,
                         ROOT "/a f mode=4755 %M %A\n/b f mode=2755 %M %A\n/c c mode=0666 %M device=1,3\n/d d mode=2755 %M xattr=%X\n"
                              "/e b mode=0660 %M device=7,0\n/g p mode=6644 %M\n/l l mode=0777 %M target=x xattr=%X\n",
                         "security.capability=0x0100000200200000000000000000000000000000\ntrusted.x=0x31\nuser.y=0x31\n" };
    (void)state;
    fixture_init(&f, true);
    jail_make(&f);
    add_lines(&f, &h);
    fixture_commit(&f);
    fixture_run("chmod -R a+rX '%s/repo'", f.dir);
    struct run_options options = { .untrusted = true };
    struct jail_outcome o = jail_restore(&f, "jail/t-x", &options, false);
    if (o.code != 0 && o.code != ERROR_INCOMPLETE)
        fail_msg("%s", o.err.text);
    assert_int_equal(o.count[REPORT_STRIPPED], 7);
    fixture_run("cd '%s/jail/t-x' && test -z \"$(find . -perm /6000)$(find . -type c)$(find . -type b)\" && test -e a && test -p g && "
                "test -z \"$(getfattr -hRd -m '^(security|trusted)' . 2>/dev/null | grep -v selinux | grep =)\"", f.dir);
    if (geteuid() == 0) { // and without it they are there
        o = jail_restore(&f, "jail/t-y", NULL, false);
        fixture_run("cd '%s/jail/t-y' && test \"$(find . -perm /6000 | wc -l)\" = 4 && test \"$(find . -type c -o -type b | wc -l)\" = 2", f.dir);
        assert_int_equal(o.count[REPORT_STRIPPED], 0);
    }
    fixture_done(&f);
}

// ---- S-04: what stands in the target already

static void test_links_in_the_target(void **state)
{
    static const char *const prepared[] = {
        "ln -s ../out t/x", "ln -s ../out/file t/x", "ln -s ../out/missing t/x", "ln -s ../out/dir t/x", "ln out/file t/x",
        "ln -s .. t/x", "mkfifo t/x", "mkdir t/x; ln -s ../../out t/x/y", "mkdir t/x; ln -s ../../out/file t/x/y", "mkdir t/x; ln -s ../../out/missing t/x/y",
    };
    static const char *const entries[] = {
        ROOT "/x f mode=0600 %M %A\n", ROOT "/x d mode=0700 %M\n/x/y f mode=0600 %M %A\n", ROOT "/x d mode=0700 %M\n/x/y d mode=0700 %M\n/x/y/file f mode=0600 %M %A\n",
        ROOT "/x l mode=0777 %M target=elsewhere\n", ROOT "/x p mode=0600 %M\n",
    };
    (void)state;
    for (size_t k = 0; k < sizeof entries / sizeof *entries; k++) {
        struct fixture f;
        fixture_init(&f, false);
        jail_make(&f);
        add_lines(&f, &(struct hostile){ "x", ANYHOW, entries[k], NULL });
        fixture_commit(&f);
        for (size_t i = 0; i < sizeof prepared / sizeof *prepared; i++)
            for (int mode = DECIDE_NEVER; mode <= DECIDE_ALWAYS; mode++) {
                fixture_run("cd '%s/jail' && rm -rf t t-0 && mkdir t && { %s; } && mv t t-0", f.dir, prepared[i]);
                _cleanup_free_ char *before = jail_look(&f);
                bool linked = i == 4; // a second name of the file outside: its link count and ctime are the preparation's, and replacing it changes them
                struct run_options options = { .overwrite = (enum decide_mode)mode, .keep_going = true };
                (void)jail_restore(&f, "jail/t-0", &options, false);
                restores++;
                if (!linked)
                    jail_check(&f, before, prepared[i]);
                fixture_run("test \"$(cat '%s/jail/out/file')\" = secret", f.dir);
            }
        fixture_done(&f);
    }
}

// ---- frames and objects made by hand

static struct place raw_object(struct fixture *f, const void *bytes, size_t n)
{
    struct error err;
    uint32_t number = f->refs.n == 0 ? 1 : f->refs.refs[f->refs.n - 1].object + 1;
    struct format_ref ref = { .object = number + 1000, .stored_size = n, .used = 1 };
    crypto_sha256(bytes, n, ref.sha256);
    _cleanup_free_ char *name = format_object_name(ref.sha256, f->encrypted);
    if (f->store->ops->put(f->store, name, bytes, n, &err) < 0 && err.code != ERROR_EXISTS)
        fail_msg("%s", err.text);
    f->extra = ref;
    return (struct place){ ref.object, 0, 5 };
}

// A seek table that says whatever is wanted of the frames before it.
static void add_table(struct buf *out, uint32_t stored, uint32_t plain, uint32_t count, uint32_t said)
{
    uint8_t *p = buf_extend(out, 8 + 8 * (size_t)count + 9);
    put_u32le(p, 0x184D2A5E);
    put_u32le(p + 4, 8 * count + 9);
    for (uint32_t i = 0; i < count; i++) {
        put_u32le(p + 8 + 8 * i, stored);
        put_u32le(p + 12 + 8 * i, plain);
    }
    put_u32le(p + 8 + 8 * count, said);
    p[12 + 8 * count] = 0;
    put_u32le(p + 13 + 8 * count, 0x8F92EAB1);
}

static const struct frame {
    const char *bytes;
    uint32_t n, plain, count, said;
} frames[] = {
    { "\x28\xb5\x2f\xfd\x80\xa8\x05\x00\x00\x00\x01\x00\x00", 13, 5, 1, 1 },                 // window of 2 GiB
    { "\x28\xb5\x2f\xfd\xa0\xff\xff\xff\x7f\x01\x00\x00", 12, 5, 1, 1 },                     // 2 GiB of content
    { "\x28\xb5\x2f\xfd\xa0\x05\x00\x00\x00\xfb\xff\xff\x41", 13, 5, 1, 1 },                 // a run of 2 MiB for 5 bytes
    { "\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00vil!", 13, 5, 1, 1 },                             // cut short
    { "\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00vil!\n", 14, 5, 1, 1 },                           // a frame, other content
    { "\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00vil!\n", 14, 8388608, 1, 1 },                     // 8 MiB, says the table
    { "\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00vil!\n", 14, 4294967295u, 1, 1 },
    { "\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00vil!\n", 14, 0, 1, 1 },
    { "\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00vil!\n", 14, 5, 1, 1048577 },                     // more frames than a table may have
    { "\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00vil!\n", 14, 5, 1, 1048576 },                     // more than there are
    { "\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00vil!\n", 14, 5, 1, 0 },
    { "\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00vil!\n", 14, 5, 3, 3 },                           // frames beyond the file
    { "\x50\x2a\x4d\x18\x05\x00\x00\x00vil!\n", 13, 5, 1, 1 },                               // a skippable frame
    { "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10, 5, 1, 1 },                             // gzip
    { "\xfd" "7zXZ\x00\x00\x04\x00\x00\x00\x00", 12, 5, 1, 1 },                              // xz
    { "", 0, 5, 0, 0 },
};

static void run_object(const void *bytes, size_t n, bool encrypted)
{
    struct fixture f;
    uint8_t sha256[32];
    struct buf hex = { 0 };
    crypto_sha256("evil\n", 5, sha256);
    buf_add_hex(&hex, sha256, 32);
    fixture_init(&f, encrypted);
    jail_make(&f);
    fixture_dir(&f, "/", 0755);
    struct place place = raw_object(&f, bytes, n);
    fixture_line(&f, "/a f mode=0644 uid=0 gid=0 mtime=1.000000000 size=5 sha256=%s at=%u:0+5", buf_str(&hex), place.object);
    fixture_commit(&f);
    fixture_run("chmod -R a+rX '%s/repo'", f.dir);
    try_all_ways(&f, "/a", REFUSE, false);
    fixture_done(&f);
    buf_done(&hex);
}

static void test_objects(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        _cleanup_buf_ struct buf object = { 0 };
        buf_add(&object, frames[i].bytes, frames[i].n);
        add_table(&object, frames[i].n == 0 ? 1 : frames[i].n, frames[i].plain, frames[i].count, frames[i].said);
        run_object(object.data, object.len, false);
    }
    static const char *const texts[] = {
        "x", "age-encryption.org/v1\n", "age-encryption.org/v1\n-> X25519 x\n\n--- x\n0123456789abcdef0123456789abcdef",
        "age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 22\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n0123456789abcdef0123456789abcdef",
        "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        run_object(texts[i], strlen(texts[i]), true);
        run_object(texts[i], strlen(texts[i]), false);
    }
}

// ---- the owner of the store: other files in the place of signed ones. Nothing is restored that was not signed, and nothing hangs.

static void test_store(void **state)
{
    static const char *const deeds[] = {
        "rm $o", "rm $o; mkfifo $o", "rm $o; ln -s /dev/zero $o", "rm $o; ln -s ../../../jail/out/file $o", "rm $o; mkdir $o", ": >$o",
        "truncate -s -1 $o", "truncate -s +1 $o", "rm $o; truncate -s 1T $o", "head -c $(stat -c %s $o) /dev/urandom >$o", "printf x | dd of=$o bs=1 seek=100 conv=notrunc 2>/dev/null",
        "rm $r; mkfifo $r", "rm $r; ln -s /dev/zero $r", ": >$r", "printf 'x' >>$r", "rm $r", "rm $h; mkfifo $h", "rm $h; ln -s /dev/zero $h", "printf x >>$h", ": >$h", "rm $h; mkdir $h",
        "cp $o $r", "cp $r $o", "cp $h $o", "cp $r $h", "rm bkd-repository; mkfifo bkd-repository", "rm bkd-repository; ln -s /dev/zero bkd-repository",
    };
    (void)state;
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        struct fixture f;
        fixture_init(&f, i % 2 == 0);
        jail_make(&f);
        fixture_dir(&f, "/", 0755);
        fixture_file(&f, "/a", 0644, "true\n", 5);
        fixture_commit(&f);
        fixture_run("cd '%s/repo' && chmod -R u+w . && o=$(find objects -type f) r=$(find refs -type f) h=$(find heads -type f) && { %s; }; chmod -R a+rX .; true", f.dir, deeds[i]);
        _cleanup_free_ char *before = jail_look(&f);
        for (int keep_going = 0; keep_going < 2; keep_going++) {
            struct run_options options = { .keep_going = keep_going != 0 };
            struct jail_outcome o = jail_restore(&f, keep_going ? "jail/t-k" : "jail/t-s", &options, false);
            restores++;
            jail_check(&f, before, deeds[i]);
            if (o.code == 0) // as with a byte appended to an object: everything signed was found in spite of it
                fixture_assert_content(&f, keep_going ? "jail/t-k/a" : "jail/t-s/a", "true\n", 5);
            if (keep_going == 0 && o.code == 0)
                fail_msg("'%s' was not noticed", deeds[i]);
        }
        fixture_done(&f);
    }
}

static void test_counts(void **state)
{
    (void)state;
    fprintf(stderr, "# %u restores of hostile snapshots, %u refused\n", restores, refusals);
    assert_true(restores > 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),   cmocka_unit_test(test_cases), cmocka_unit_test(test_untrusted), cmocka_unit_test(test_links_in_the_target),
        cmocka_unit_test(test_objects), cmocka_unit_test(test_store), cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
