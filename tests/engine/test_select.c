// What a run has to read: real trees that change between two selections, against caches made of the first.
#include "tests/codec/scratch.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "bkd/engine/select.h"

static const uint8_t key[SEALED_KEY_SIZE] = { 3 };

struct place_dir {
    struct scratch scratch;
    int dirfd;
    char *root; // scratch/tree
    struct scan_source source;
    struct select_options options;
    uint8_t sha256[32]; // of the remembered manifest
    bool has_manifest;
    bool racy;          // remember all as racily clean
    const char *refuse; // the end of the path of an entry that may not be kept
    struct buf plan;    // "PATH ACTION[ <BASE]\n", below the root; parents are left out
    struct select_counts counts;
};

static enum select_verdict may_keep(void *arg, const struct manifest_entry *old)
{
    const struct place_dir *p = arg;
    size_t n = p->refuse == NULL ? 0 : strlen(p->refuse);
    return n == 0 || old->path.len < n || memcmp(old->path.data + old->path.len - n, p->refuse, n) != 0 ? SELECT_RELY : SELECT_DOUBT;
}

static int setup(void **state)
{
    struct place_dir *p = xcalloc(1, sizeof *p);
    p->scratch = scratch_new();
    p->dirfd = open(p->scratch.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    p->root = xasprintf("%s/tree", p->scratch.dir);
    assert_int_equal(mkdir(p->root, 0755), 0);
    p->source.path = p->root;
    p->options = (struct select_options){ .scan = { .sources = &p->source, .n_sources = 1, .scratch_fd = p->dirfd }, .keep = may_keep, .keep_arg = p, .compare_inode = true };
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place_dir *p = *state;
    (void)close(p->dirfd);
    scratch_done(&p->scratch);
    buf_done(&p->plan);
    free(p->root);
    free(p);
    return 0;
}

static void sh(const struct place_dir *p, const char *script)
{
    _cleanup_free_ char *line = xasprintf("cd '%s' && LC_ALL=C; export LC_ALL; set -e\n%s", p->root, script);
    if (system(line) != 0)
        fail_msg("'%s' failed", script);
}

static void no_problem(void *arg, const struct scan_problem *problem)
{
    (void)arg;
    fail_msg("%s: %s", problem->path, problem->reason);
}

static struct select_plan *run_select(struct place_dir *p)
{
    struct error err;
    struct select_plan *plan = NULL;
    _cleanup_previous_ struct previous previous;
    scratch_ok(previous_open(&previous, io_real(), p->dirfd, key, p->has_manifest ? p->sha256 : NULL, NULL, &err), &err);
    scratch_ok(select_run(io_real(), &p->options, &previous, no_problem, p, &plan, &err), &err);
    return plan;
}

static const char *below_root(const struct place_dir *p, const struct manifest_entry *e)
{
    size_t n = strlen(p->root);
    return e->path.len >= n && memcmp(e->path.data, p->root, n) == 0 ? (e->path.len == n ? "." : buf_str(&e->path) + n + 1) : NULL;
}

static void select_and_print(struct place_dir *p)
{
    struct error err;
    _cleanup_select_plan_ struct select_plan *plan = run_select(p);
    _cleanup_manifest_entry_ struct manifest_entry e = { 0 };
    _cleanup_buf_ struct buf last = { 0 };
    buf_reset(&p->plan);
    for (;;) {
        const struct select_item *item = NULL;
        scratch_ok(select_next(plan, &item, &err), &err);
        if (item == NULL)
            break;
        scratch_ok(manifest_parse(item->line, item->line_len, &e, &err), &err);
        assert_true(last.len == 0 || manifest_path_compare(last.data, last.len, e.path.data, e.path.len) < 0);
        buf_reset(&last);
        buf_add(&last, e.path.data, e.path.len);
        if (below_root(p, &e) == NULL)
            continue;
        bool content = place_is_set(&e.at) || place_is_set(&e.version);
        assert_int_equal(content, item->action == SELECT_KEEP && e.type == MANIFEST_FILE && e.size > 0);
        buf_addf(&p->plan, "%s %c", below_root(p, &e), item->action);
        if (item->action == SELECT_KEEP && content)
            buf_addf(&p->plan, "%u", e.at.object);
        if (item->base_len > 0) {
            scratch_ok(manifest_parse(item->base, item->base_len, &e, &err), &err);
            buf_addf(&p->plan, " <%s", below_root(p, &e));
        }
        buf_add_char(&p->plan, '\n');
    }
    const struct select_item *more = (const struct select_item *)p;
    scratch_ok(select_next(plan, &more, &err), &err);
    assert_null(more);
    p->counts = *select_counts(plan);
    p->counts.source_entries = p->counts.previous_source_entries = NULL;
}

static void expect(struct place_dir *p, const char *text)
{
    select_and_print(p);
    assert_string_equal(buf_str(&p->plan), text);
}

// Takes what is there now for what was stored: every file got a place in an object of its own, numbered in path order from 1.
static void remember(struct place_dir *p)
{
    struct error err;
    uint32_t object = 0;
    struct sealed_writer manifest, stat;
    _cleanup_crypto_sha256_ struct crypto_sha256 hash;
    char manifest_name[PREVIOUS_NAME_SIZE], stat_name[PREVIOUS_NAME_SIZE];
    p->has_manifest = false;
    _cleanup_select_plan_ struct select_plan *plan = run_select(p);
    _cleanup_manifest_entry_ struct manifest_entry e = { 0 };
    scratch_ok(sealed_begin(&manifest, io_real(), p->dirfd, "manifest", key, &err), &err);
    scratch_ok(sealed_begin(&stat, io_real(), p->dirfd, "stat", key, &err), &err);
    crypto_sha256_init(&hash);
    for (;;) {
        const struct select_item *item = NULL;
        scratch_ok(select_next(plan, &item, &err), &err);
        if (item == NULL)
            break;
        scratch_ok(manifest_parse(item->line, item->line_len, &e, &err), &err);
        if (e.type == MANIFEST_FILE && e.size > 0) {
            e.has_sha256 = true;
            e.at = (struct place){ ++object, 512, e.size };
        }
        _cleanup_buf_ struct buf line = { 0 };
        uint8_t record[PREVIOUS_STAT_SIZE];
        manifest_format(&line, &e);
        crypto_sha256_update(&hash, line.data, line.len);
        previous_put_stat(record, &item->stat, p->racy);
        scratch_ok(sealed_add(&manifest, line.data, line.len, &err), &err);
        scratch_ok(sealed_add(&stat, record, sizeof record, &err), &err);
    }
    crypto_sha256_final(&hash, p->sha256);
    previous_names(p->sha256, manifest_name, stat_name);
    scratch_ok(sealed_commit_as(&manifest, manifest_name, &err), &err);
    scratch_ok(sealed_commit_as(&stat, stat_name, &err), &err);
    sealed_abandon(&manifest);
    sealed_abandon(&stat);
    p->has_manifest = true;
}

static void make_tree(struct place_dir *p)
{
    sh(p, "mkdir d e; echo 1 >a; echo 22 >d/b; echo 333 >d/c; : >d/empty; ln -s a l; mkfifo p");
    remember(p);
}

static const char first_time[] = ". a\na r\nd a\nd/b r\nd/c r\nd/empty r\ne a\nl a\np a\n";

static void test_first_time(void **state)
{
    struct place_dir *p = *state;
    make_tree(p);
    p->has_manifest = false;
    expect(p, first_time);
    assert_int_equal(p->counts.files, 4);
    assert_int_equal(p->counts.entries, 9 + 3); // with /, /tmp and the scratch directory
    assert_int_equal(p->counts.bytes, 9);
    assert_int_equal(p->counts.read_files, 4);
    assert_int_equal(p->counts.read_bytes, 9);
    assert_int_equal(p->counts.gone_files, 0);
}

static void test_unchanged(void **state)
{
    struct place_dir *p = *state;
    make_tree(p);
    expect(p, ". k\na k1\nd k\nd/b k2\nd/c k3\nd/empty k\ne k\nl k\np k\n");
    assert_int_equal(p->counts.read_files, 0);
    assert_int_equal(p->counts.read_bytes, 0);
    assert_int_equal(p->counts.moved_files, 0);
}

// Whatever looks unchanged is read again when it was taken in the same tick of the clock as it was changed; what it was is known.
static void test_racily_clean(void **state)
{
    struct place_dir *p = *state;
    static const char expected[] = ". a <.\na r <a\nd a <d\nd/b r <d/b\nd/c r <d/c\nd/empty r <d/empty\ne a <e\nl a <l\np a <p\n";
    p->racy = true;
    make_tree(p);
    expect(p, expected);
    p->options.compare_inode = false;
    expect(p, expected);
}

static void test_content_not_usable(void **state)
{
    struct place_dir *p = *state;
    make_tree(p);
    p->refuse = "/d/b";
    expect(p, ". k\na k1\nd k\nd/b r <d/b\nd/c k3\nd/empty k\ne k\nl k\np k\n");
}

static void test_each_kind_of_change(void **state)
{
    struct place_dir *p = *state;
    make_tree(p);
    sh(p, "chmod 600 d/b");
    expect(p, ". k\na k1\nd k\nd/b r <d/b\nd/c k3\nd/empty k\ne k\nl k\np k\n");
    remember(p);
    sh(p, "touch -d 2001-01-01 a");
    expect(p, ". k\na r <a\nd k\nd/b k2\nd/c k3\nd/empty k\ne k\nl k\np k\n");
    remember(p);
    sh(p, "m=$(stat -c %y d/c); printf 444 >d/c; touch -d \"$m\" d/c"); // another size, the old time
    expect(p, ". k\na k1\nd k\nd/b k2\nd/c r <d/c\nd/empty k\ne k\nl k\np k\n");
    remember(p);
    sh(p, "m=$(stat -c %y d/c); printf 555 >d/c; touch -d \"$m\" d/c"); // size and time of before: ctime tells
    expect(p, ". k\na k1\nd k\nd/b k2\nd/c r <d/c\nd/empty k\ne k\nl k\np k\n");
    remember(p);
    sh(p, "m=$(stat -c %y a); cp a a2; mv a2 a; touch -d \"$m\" a"); // another inode
    expect(p, ". a <.\na r <a\nd k\nd/b k2\nd/c k3\nd/empty k\ne k\nl k\np k\n");
}

static void test_without_inodes(void **state)
{
    struct place_dir *p = *state;
    make_tree(p);
    p->options.compare_inode = false;
    sh(p, "m=$(stat -c %y a); cp a a2; mv a2 a; touch -d \"$m\" a; chmod 600 d/b; echo 4 >>d/c");
    sh(p, "m=$(stat -c %y d/empty); echo 5 >d/empty; touch -d \"$m\" d/empty"); // another size, and the time as it was
    expect(p, ". a <.\na k1\nd k\nd/b k2\nd/c r <d/c\nd/empty r <d/empty\ne k\nl k\np k\n");
}

static void test_gone_and_new(void **state)
{
    struct place_dir *p = *state;
    make_tree(p);
    sh(p, "echo new >z; : >new-empty; rm a d/empty l");
    expect(p, ". a <.\nd a <d\nd/b k2\nd/c k3\ne k\nnew-empty r\np k\nz r\n");
    assert_int_equal(p->counts.gone_files, 2);
    assert_int_equal(p->counts.read_files, 2);
    assert_int_equal(p->counts.moved_files, 0);
}

// rename(2) changes the ctime of what it moves, so that is read, with what it was as base; what lies below a moved directory keeps its ctime.
static void test_moves(void **state)
{
    struct place_dir *p = *state;
    make_tree(p);
    sh(p, "mv d/b e/renamed");
    expect(p, ". k\na k1\nd a <d\nd/c k3\nd/empty k\ne a <e\ne/renamed r <d/b\nl k\np k\n");
    assert_int_equal(p->counts.moved_files, 0);
    remember(p);
    sh(p, "mv d zz");
    expect(p, ". a <.\na k1\ne k\ne/renamed k3\nl k\np k\nzz a\nzz/c k2\nzz/empty r\n"); // an empty file costs nothing
    assert_int_equal(p->counts.moved_files, 1);
    assert_int_equal(p->counts.read_files, 1);
    assert_int_equal(p->counts.read_bytes, 0);
    // Two directories exchange their names.
    remember(p);
    sh(p, "mv zz t; mv e zz; mv t e");
    expect(p, ". a <.\na k1\ne a <e\ne/c k3\ne/empty r\nl k\np k\nzz a <zz\nzz/renamed k2\n");
    assert_int_equal(p->counts.moved_files, 2);
}

static void test_moved_but_touched_or_unusable(void **state)
{
    struct place_dir *p = *state;
    make_tree(p);
    sh(p, "mv d dd; touch dd/b");
    expect(p, ". a <.\na k1\ndd a\ndd/b r <d/b\ndd/c k3\ndd/empty r\ne k\nl k\np k\n");
    p->refuse = "/d/c";
    expect(p, ". a <.\na k1\ndd a\ndd/b r <d/b\ndd/c r <d/c\ndd/empty r\ne k\nl k\np k\n");
    p->refuse = NULL;
    p->racy = true;
    sh(p, "mv dd d");
    remember(p);
    sh(p, "mv d dd");
    expect(p, ". a <.\na r <a\ndd a\ndd/b r <d/b\ndd/c r <d/c\ndd/empty r\ne a <e\nl a <l\np a <p\n");
}

// An inode number that is given again says nothing.
static void test_inode_reuse(void **state)
{
    struct place_dir *p = *state;
    make_tree(p);
    sh(p, "rm -r d; i=0; while [ $i -lt 50 ]; do echo 22 >n$i; echo 333 >m$i; i=$((i + 1)); done");
    select_and_print(p);
    assert_null(strstr(buf_str(&p->plan), "m1 k"));
    assert_int_equal(p->counts.moved_files, 0);
    assert_int_equal(p->counts.read_files, 100);
    assert_int_equal(p->counts.gone_files, 3);
}

// Hard links: each name is found, also under a moved directory.
static void test_hard_links(void **state)
{
    struct place_dir *p = *state;
    sh(p, "mkdir d; echo 1 >d/x; ln d/x d/y; ln d/x other");
    remember(p);
    expect(p, ". k\nd k\nd/x k1\nd/y k2\nother k3\n");
    sh(p, "mv d dd");
    expect(p, ". a <.\ndd a\ndd/x k1\ndd/y k1\nother k3\n"); // either of the old places is right: they hold the same
}

static void test_type_changes(void **state)
{
    struct place_dir *p = *state;
    make_tree(p);
    sh(p, "rm a l; mkdir a; echo x >a/x; echo y >l; rm -r d; echo file >d; rm p; ln -s x p");
    expect(p, ". a <.\na a\na/x r\nd r\ne k\nl r\np a\n");
}

static void test_lines_of_kept_entries(void **state)
{
    struct place_dir *p = *state;
    struct error err;
    make_tree(p);
    struct scan_source two[2] = { { .path = "/nowhere" }, { .path = p->root } };
    sh(p, "mkdir ../first");
    _cleanup_free_ char *first = xasprintf("%s/first", p->scratch.dir);
    two[0].path = first;
    p->options.scan.sources = two; // the policy changed: another number of the source, nothing to read
    p->options.scan.n_sources = 2;
    _cleanup_select_plan_ struct select_plan *plan = run_select(p);
    _cleanup_manifest_entry_ struct manifest_entry e = { 0 };
    unsigned seen = 0;
    for (;;) {
        const struct select_item *item = NULL;
        scratch_ok(select_next(plan, &item, &err), &err);
        if (item == NULL)
            break;
        scratch_ok(manifest_parse(item->line, item->line_len, &e, &err), &err);
        if (below_root(p, &e) == NULL)
            continue;
        seen++;
        assert_int_equal(item->action, SELECT_KEEP);
        assert_int_equal(e.source, 1);
        assert_int_equal(place_is_set(&e.at), e.type == MANIFEST_FILE && e.size > 0);
    }
    assert_int_equal(seen, 9);
    assert_int_equal(select_counts(plan)->previous_source_entries[0], 0);
    assert_int_equal(select_counts(plan)->previous_source_entries[1], 9);
    assert_int_equal(select_counts(plan)->source_entries[0], 1);
    assert_int_equal(select_counts(plan)->source_entries[1], 9);
}

static void assert_line_says_what_is_there(const struct place_dir *p, const struct manifest_entry *e)
{
    struct stat st;
    _cleanup_free_ char *path = xasprintf("%s/%s", p->root, below_root(p, e));
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(e->mode, st.st_mode & 07777);
    assert_int_equal(e->uid, st.st_uid);
    assert_int_equal(e->gid, st.st_gid);
    assert_int_equal(e->mtime_s, st.st_mtim.tv_sec);
    assert_int_equal(e->mtime_ns, st.st_mtim.tv_nsec);
    assert_int_equal(e->hardlink.len > 0, st.st_nlink > 1 && e->type == MANIFEST_FILE);
}

// Where inodes say nothing, content is kept that has its size and time; what else became of its file since is in the line.
static void test_lines_of_changed_metadata(void **state)
{
    struct place_dir *p = *state;
    struct error err;
    unsigned kept = 0;
    make_tree(p);
    sh(p, "echo 4444 >f; ln f g; echo 55 >linked");
    if (geteuid() == 0) // owners that have no names: these would tell, too
        sh(p, "chown 4711:4711 d/b d/c");
    remember(p);
    p->options.compare_inode = false;
    sh(p, "rm f; ln linked linked-too; chmod 640 a; chmod 711 d; touch -h -d 2001-01-01 l");
    if (geteuid() == 0)
        sh(p, "chown 4712 d/b; chgrp 4712 d/c");
    _cleanup_select_plan_ struct select_plan *plan = run_select(p);
    _cleanup_manifest_entry_ struct manifest_entry e = { 0 };
    for (;;) {
        const struct select_item *item = NULL;
        scratch_ok(select_next(plan, &item, &err), &err);
        if (item == NULL)
            break;
        scratch_ok(manifest_parse(item->line, item->line_len, &e, &err), &err);
        if (below_root(p, &e) == NULL)
            continue;
        assert_line_says_what_is_there(p, &e);
        kept += item->action == SELECT_KEEP;
    }
    assert_int_equal(kept, 9); // not the root, of which entries came and went, nor the new name
}

// Five thousand files below a renamed directory: all moved, none read, though neither list fits one window.
static void test_many_moves(void **state)
{
    struct place_dir *p = *state;
    sh(p, "mkdir old; cd old; seq -f 'a-name-that-is-somewhat-long-%06.0f' 5000 | xargs -n 500 sh -c 'for f; do echo x >$f; done' sh");
    remember(p);
    sh(p, "mv old new");
    select_and_print(p);
    assert_int_equal(p->counts.moved_files, 5000);
    assert_int_equal(p->counts.read_files, 0);
    assert_int_equal(p->counts.read_bytes, 0);
    assert_int_equal(p->counts.gone_files, 5000);
    assert_null(strstr(buf_str(&p->plan), " r"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_first_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unchanged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_racily_clean, setup, teardown),
        cmocka_unit_test_setup_teardown(test_content_not_usable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_kind_of_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_inodes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_and_new, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moved_but_touched_or_unusable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_inode_reuse, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hard_links, setup, teardown),
        cmocka_unit_test_setup_teardown(test_type_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lines_of_kept_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lines_of_changed_metadata, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_moves, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
