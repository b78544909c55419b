// A repository: making, opening, which heads count, finding snapshots and chains, refs.
#include "tests/repo/made.h"

#include <stdio.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/codec/sshsig.h"
#include "bkd/repo/heads.h"

static const uint8_t chain_a[16] = { 0xaa }, chain_b[16] = { 0xbb };

struct fixture {
    struct store *store; // until a repository takes it
    struct sshkey key, stranger;
    struct buf key_text, signers;
    struct format_repository info;
};

static void new_key(const char *principal, const char *namespaces, struct sshkey *ret_key, struct buf *ret_text,
                    struct buf *signers)
{
    sshkey_new(io_real(), ret_key);
    if (ret_text != NULL)
        sshkey_format(io_real(), ret_key, "test", ret_text);
    if (signers == NULL)
        return;
    buf_addf(signers, "%s %s", principal, namespaces);
    sshkey_public_format(ret_key->public_key, "test", signers);
    buf_add_char(signers, '\n');
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->store = store_memory_new();
    new_key("host", "namespaces=\"bkd-repository@v1,bkd-head@v1,bkd-recover@v1\" ", &f->key, &f->key_text, &f->signers);
    new_key("host", "", &f->stranger, NULL, NULL);
    f->info = (struct format_repository){
        .id = { 1, 2, 3 }, .created_ns = UINT64_C(1795420800000000000), .piece_size = 16777216, .object_size = 134217728
    };
    struct error err;
    OK(repository_create(io_real(), f->store, &f->info, (const char *)f->key_text.data, f->key_text.len, "#!/bin/sh\n",
                         "read me\n", &err));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    buf_done(&f->key_text);
    buf_done(&f->signers);
    free(f);
    return 0;
}

// A copy of everything in f->store, since opening takes the store.
static int copy_file(void *arg, const char *name, uint64_t size, struct error *unused)
{
    (void)unused;
    struct store **stores = arg;
    struct error err;
    _cleanup_buf_ struct buf data = { 0 };
    OK(store_get_all(stores[0], name, (size_t)size, &data, &err));
    OK(stores[1]->ops->put(stores[1], name, data.data, data.len, &err));
    return 0;
}

static int open_copy(struct fixture *f, const char *signers, struct repository **ret_repository, struct error *err)
{
    struct store *stores[2] = { f->store, store_memory_new() };
    assert_int_equal(f->store->ops->list(f->store, "", copy_file, stores, err), 0);
    return repository_open(io_real(), stores[1], signers, ret_repository, err);
}

static struct repository *opened(struct fixture *f)
{
    struct repository *r = NULL;
    struct error err;
    OK(open_copy(f, buf_str(&f->signers), &r, &err));
    return r;
}

struct head_options {
    const struct sshkey *key; // NULL: the host's
    const uint8_t *repository; // NULL: this one
    const uint8_t *inside_chain; // NULL: as the name says
    uint64_t inside_number; // 0: as the name says
    const char *host, *policy, *name_space;
    size_t cut; // bytes missing at the end
};

static void head_file(struct fixture *f, const uint8_t chain[16], uint64_t number, const uint8_t previous[32],
                      const struct head_options *o, struct buf *ret_file)
{
    struct format_head h = { .number = o->inside_number != 0 ? o->inside_number : number,
                             .time_ns = f->info.created_ns,
                             .manifest = { 1, 0, 10 },
                             .next_object = 2 };
    memcpy(h.repository, o->repository != NULL ? o->repository : f->info.id, 16);
    memcpy(h.chain, o->inside_chain != NULL ? o->inside_chain : chain, 16);
    memcpy(h.previous, previous, 32);
    (void)snprintf(h.host, sizeof h.host, "%s", o->host != NULL ? o->host : "web");
    (void)snprintf(h.policy, sizeof h.policy, "%s", o->policy != NULL ? o->policy : "erp");
    _cleanup_buf_ struct buf text = { 0 };
    format_head_write(&text, &h);
    buf_add(ret_file, text.data, text.len);
    sshsig_sign(o->key != NULL ? o->key : &f->key, o->name_space != NULL ? o->name_space : FORMAT_NAMESPACE_HEAD, text.data,
                text.len, ret_file);
    ret_file->len -= o->cut;
}

// Puts a head; previous (NULL: the first) is replaced by this one's hash.
static void put_head(struct fixture *f, const uint8_t chain[16], uint64_t number, uint8_t previous[32],
                     const struct head_options *o)
{
    static const struct head_options usual = { 0 };
    struct error err;
    _cleanup_buf_ struct buf file = { 0 };
    head_file(f, chain, number, previous, o == NULL ? &usual : o, &file);
    _cleanup_free_ char *name = format_head_name(chain, number);
    OK(f->store->ops->put(f->store, name, file.data, file.len, &err));
    crypto_sha256(file.data, file.len, previous);
}

// ---- making and opening

static void test_create(void **state)
{
    struct fixture *f = *state;
    struct error err;
    _cleanup_repository_ struct repository *r = opened(f);
    assert_memory_equal(r->info.id, f->info.id, 16);
    assert_false(r->info.encrypted);
    assert_int_equal(r->n_heads, 0);
    assert_int_equal(repository_create(io_real(), f->store, &f->info, (const char *)f->key_text.data, f->key_text.len, "x", "x",
                                       &err),
                     ERROR_EXISTS);
    uint64_t size;
    OK(f->store->ops->size(f->store, "recover.sh.sig", &size, &err));
    OK(f->store->ops->size(f->store, "RECOVER.txt.sig", &size, &err));
}

static void test_create_after_a_killed_one(void **state)
{
    struct fixture *f = *state;
    struct error err;
    OK(f->store->ops->remove(f->store, "bkd-repository", &err));
    OK(f->store->ops->remove(f->store, "RECOVER.txt.sig", &err));
    assert_int_equal(open_copy(f, buf_str(&f->signers), &(struct repository *){ NULL }, &err), ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, "bkd init"));
    OK(repository_create(io_real(), f->store, &f->info, (const char *)f->key_text.data, f->key_text.len, "#!/bin/sh\nnew\n",
                         "new\n", &err));
    _cleanup_buf_ struct buf script = { 0 };
    OK(store_get_all(f->store, "recover.sh", 100, &script, &err));
    assert_string_equal(buf_str(&script), "#!/bin/sh\nnew\n");
    repository_close(opened(f));
}

static void test_create_needs_a_key(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct store *empty = store_memory_new();
    assert_true(repository_create(io_real(), empty, &f->info, "nonsense", 8, "x", "x", &err) < 0);
    uint64_t size;
    assert_int_equal(empty->ops->size(empty, "bkd-repository", &size, &err), ERROR_NOT_FOUND);
    store_close(empty);
}

static void test_who_signed(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct repository *r = NULL;
    _cleanup_buf_ struct buf others = { 0 };
    struct sshkey other;
    new_key("host", "", &other, NULL, &others);
    assert_int_equal(open_copy(f, buf_str(&others), &r, &err), ERROR_INTEGRITY);
    assert_int_equal(open_copy(f, "", &r, &err), ERROR_INTEGRITY);
    assert_int_equal(open_copy(f, "host nonsense\n", &r, &err), ERROR_FORMAT);
    OK(open_copy(f, NULL, &r, &err)); // the caller asked not to check
    repository_close(r);
}

// Whatever byte of bkd-repository is changed: not opened.
static void test_description_corrupted(void **state)
{
    struct fixture *f = *state;
    struct error err;
    _cleanup_buf_ struct buf file = { 0 };
    OK(store_get_all(f->store, "bkd-repository", 65536, &file, &err));
    for (size_t at = 0; at < file.len; at++)
        for (int cut = 0; cut < 2; cut++) {
            struct store *store = store_memory_new();
            struct repository *r = NULL;
            file.data[at] ^= (uint8_t)(1 << at % 8);
            OK(store->ops->put(store, "bkd-repository", file.data, cut != 0 ? at : file.len, &err));
            file.data[at] ^= (uint8_t)(1 << at % 8);
            int e = repository_open(io_real(), store, buf_str(&f->signers), &r, &err);
            assert_true(e == ERROR_INTEGRITY || e == ERROR_USAGE);
            assert_null(r);
        }
}

// ---- heads

static void test_chain(void **state)
{
    struct fixture *f = *state;
    struct error err;
    uint8_t previous[32] = { 0 };
    for (uint64_t n = 1; n <= 12; n++)
        put_head(f, chain_a, n, previous, NULL);
    _cleanup_repository_ struct repository *r = opened(f);
    assert_int_equal(r->n_heads, 12);
    assert_int_equal(repository_count_problems(r), 0);
    for (uint64_t n = 1; n <= 12; n++) {
        assert_int_equal(r->heads[n - 1].number, n);
        assert_true(r->heads[n - 1].valid);
    }
    assert_memory_equal(r->heads[11].sha256, previous, 32);
    const struct repository_head *h = NULL;
    OK(repository_find(r, NULL, "latest", &h, &err));
    assert_int_equal(h->number, 12);
    OK(repository_find(r, chain_a, "latest~2", &h, &err));
    assert_int_equal(h->number, 10);
    OK(repository_find(r, NULL, "latest~11", &h, &err));
    assert_int_equal(h->number, 1);
    OK(repository_find(r, NULL, "7", &h, &err));
    assert_int_equal(h->number, 7);
    assert_int_equal(repository_find(r, NULL, "latest~12", &h, &err), ERROR_NOT_FOUND);
    assert_int_equal(repository_find(r, NULL, "13", &h, &err), ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, "1 to 12"));
    static const char *const wrong[] = { "", "07", "last", "latest~", "latest~x", "latest~-1", "latestx", "-1", "7 " };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(repository_find(r, NULL, wrong[i], &h, &err), ERROR_USAGE);
    assert_int_equal(repository_find(r, chain_b, "latest", &h, &err), ERROR_NOT_FOUND);
}

// Head 2 is wrong in one way or another: a void number. The chain goes on with head 3 on head 1.
static void check_void(struct fixture *f, const struct head_options *o, const char *reason)
{
    struct error err;
    uint8_t previous[32] = { 0 }, ignored[32];
    put_head(f, chain_a, 1, previous, NULL);
    memcpy(ignored, previous, 32);
    put_head(f, chain_a, 2, ignored, o);
    put_head(f, chain_a, 3, previous, NULL);
    _cleanup_repository_ struct repository *r = opened(f);
    assert_int_equal(r->n_heads, 3);
    assert_true(r->heads[0].valid && !r->heads[1].valid && r->heads[2].valid);
    assert_false(r->heads[2].chain_broken || r->heads[2].fork);
    assert_int_equal(repository_count_problems(r), 1);
    if (strstr(r->heads[1].problem, reason) == NULL)
        fail_msg("'%s' is not in '%s'", reason, r->heads[1].problem);
    const struct repository_head *h = NULL;
    assert_int_equal(repository_find(r, NULL, "2", &h, &err), ERROR_INTEGRITY);
    OK(repository_find(r, NULL, "latest~1", &h, &err));
    assert_int_equal(h->number, 1);
    for (uint64_t n = 1; n <= 3; n++) {
        _cleanup_free_ char *name = format_head_name(chain_a, n);
        OK(f->store->ops->remove(f->store, name, &err));
    }
}

static void test_void_numbers(void **state)
{
    struct fixture *f = *state;
    static const uint8_t other[16] = { 0x77 };
    check_void(f, &(struct head_options){ .cut = 1 }, "");
    check_void(f, &(struct head_options){ .cut = 100 }, "");
    check_void(f, &(struct head_options){ .cut = 400 }, "cut off");
    check_void(f, &(struct head_options){ .key = &f->stranger }, "");
    check_void(f, &(struct head_options){ .name_space = FORMAT_NAMESPACE_REPOSITORY }, "");
    check_void(f, &(struct head_options){ .repository = other }, "another repository");
    check_void(f, &(struct head_options){ .inside_chain = chain_b }, "name says");
    check_void(f, &(struct head_options){ .inside_number = 1 }, "name says");
}

// Every byte of a head file changed, and the file cut off everywhere: never valid, never a crash.
static void test_head_corrupted(void **state)
{
    struct fixture *f = *state;
    uint8_t previous[32] = { 0 };
    _cleanup_repository_ struct repository *r = opened(f);
    struct error err;
    _cleanup_signers_ struct signers signers = { 0 };
    OK(signers_parse(buf_str(&f->signers), f->signers.len, &signers, &err));
    _cleanup_buf_ struct buf file = { 0 };
    head_file(f, chain_a, 1, previous, &(struct head_options){ 0 }, &file);
    unsigned tried = 0;
    for (size_t at = 0; at < file.len; at++)
        for (int change = 0; change < 9; change++) {
            size_t n = change == 8 ? at : file.len;
            char *bad = malloc(n == 0 ? 1 : n);
            memcpy(bad, file.data, n);
            if (change < 8)
                bad[at] = (char)(bad[at] ^ 1 << change);
            struct repository_head head = { .number = 1 };
            memcpy(head.chain, chain_a, 16);
            heads_judge(r, &signers, bad, n, &head);
            free(bad);
            assert_false(head.valid);
            assert_non_null(head.problem);
            free(head.problem);
            tried++;
        }
    struct repository_head right = { .number = 1 };
    memcpy(right.chain, chain_a, 16);
    heads_judge(r, &signers, file.data, file.len, &right);
    assert_true(right.valid);
    format_head_done(&right.head);
    print_message("%u corrupted heads, none valid\n", tried);
}

static void test_forks_and_breaks(void **state)
{
    struct fixture *f = *state;
    uint8_t a[32] = { 0 }, fork[32], unrelated[32] = { 9 };
    put_head(f, chain_a, 1, a, NULL);
    memcpy(fork, a, 32);
    put_head(f, chain_a, 2, a, NULL);
    put_head(f, chain_a, 3, fork, NULL); // a clone that began at 1 as well
    put_head(f, chain_a, 4, fork, NULL);
    put_head(f, chain_a, 5, unrelated, NULL);
    _cleanup_repository_ struct repository *r = opened(f);
    static const bool forks[] = { false, true, true, false, false }, breaks[] = { false, false, true, false, true };
    for (int i = 0; i < 5; i++) {
        assert_true(r->heads[i].valid);
        assert_int_equal(r->heads[i].fork, forks[i]);
        assert_int_equal(r->heads[i].chain_broken, breaks[i]);
    }
    assert_int_equal(repository_count_problems(r), 3);
}

static void test_first_head_missing(void **state)
{
    struct fixture *f = *state;
    uint8_t previous[32] = { 5 };
    put_head(f, chain_a, 8, previous, NULL);
    put_head(f, chain_a, 9, previous, NULL);
    _cleanup_repository_ struct repository *r = opened(f);
    assert_true(r->heads[0].valid && r->heads[0].chain_broken);
    assert_true(r->heads[1].valid && !r->heads[1].chain_broken);
}

static void test_other_files_are_not_heads(void **state)
{
    struct fixture *f = *state;
    struct error err;
    static const char *const names[] = { "heads/x",
                                         "heads/aa000000000000000000000000000000/0",
                                         "heads/aa000000000000000000000000000000/01",
                                         "heads/AA000000000000000000000000000000/1",
                                         "heads/aa000000000000000000000000000000/1.sig",
                                         "heads/aa000000000000000000000000000000/a/1",
                                         "heads/aa0000000000000000000000000000/1",
                                         "head/1" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        OK(f->store->ops->put(f->store, names[i], "x", 1, &err));
    _cleanup_repository_ struct repository *r = opened(f);
    assert_int_equal(r->n_heads, 0);
    const struct repository_head *h = NULL;
    assert_int_equal(repository_find(r, NULL, "latest", &h, &err), ERROR_NOT_FOUND);
}

static void test_several_chains(void **state)
{
    struct fixture *f = *state;
    struct error err;
    static const uint8_t chain_c[16] = { 0xcc }, chain_d[16] = { 0xdd };
    uint8_t a[32] = { 0 }, b[32] = { 0 }, c[32] = { 0 }, d[32] = { 0 };
    put_head(f, chain_a, 1, a, NULL);
    put_head(f, chain_b, 1, b, &(struct head_options){ .policy = "mail" });
    put_head(f, chain_b, 2, b, &(struct head_options){ .policy = "post" }); // renamed: the newest label counts
    put_head(f, chain_c, 1, c, &(struct head_options){ .host = "db" });
    put_head(f, chain_d, 1, d, &(struct head_options){ .cut = 1 }); // nothing valid: no chain to choose
    _cleanup_repository_ struct repository *r = opened(f);
    const struct repository_head *h = NULL;
    uint8_t chain[16];
    assert_int_equal(repository_find(r, NULL, "latest", &h, &err), ERROR_USAGE);
    assert_non_null(strstr(err.text, "policy post on web"));
    OK(repository_find(r, chain_b, "latest", &h, &err));
    assert_int_equal(h->number, 2);
    OK(repository_chain(r, "post", NULL, chain, &err));
    assert_memory_equal(chain, chain_b, 16);
    assert_int_equal(repository_chain(r, "mail", NULL, chain, &err), ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, "policy post on web"));
    assert_int_equal(repository_chain(r, "erp", NULL, chain, &err), ERROR_USAGE);
    OK(repository_chain(r, "erp", "db", chain, &err));
    assert_memory_equal(chain, chain_c, 16);
    assert_int_equal(repository_chain(r, "erp", "nowhere", chain, &err), ERROR_NOT_FOUND);
}

// ---- refs

static void test_refs(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct format_ref ref = { .object = 1, .stored_size = 5, .used = 3 };
    struct format_refs refs = { .refs = &ref, .n = 1 };
    memcpy(refs.chain, chain_a, 16);
    struct format_head head = { .number = 3 };
    memcpy(head.chain, chain_a, 16);
    _cleanup_buf_ struct buf text = { 0 };
    format_refs_write(&text, &refs);
    crypto_sha256(text.data, text.len, head.refs);
    head.refs_size = text.len;
    _cleanup_free_ char *name = format_refs_name(head.refs);
    _cleanup_format_refs_ struct format_refs back = { 0 };
    struct repository bare = { .io = io_real(), .store = f->store };
    assert_int_equal(repository_read_refs(&bare, &head, &back, &err), ERROR_INTEGRITY); // missing
    assert_non_null(strstr(err.text, "snapshot 3"));
    OK(f->store->ops->put(f->store, name, text.data, text.len, &err));
    head.refs_size++;
    assert_int_equal(repository_read_refs(&bare, &head, &back, &err), ERROR_INTEGRITY);
    head.refs_size--;
    head.chain[3] ^= 1;
    assert_int_equal(repository_read_refs(&bare, &head, &back, &err), ERROR_INTEGRITY);
    head.chain[3] ^= 1;
    OK(repository_read_refs(&bare, &head, &back, &err));
    assert_int_equal(back.n, 1);
    assert_int_equal(back.refs[0].stored_size, 5);
    text.data[text.len - 2] ^= 1;
    OK(f->store->ops->remove(f->store, name, &err));
    OK(f->store->ops->put(f->store, name, text.data, text.len, &err));
    format_refs_done(&back);
    assert_int_equal(repository_read_refs(&bare, &head, &back, &err), ERROR_INTEGRITY);
}

// ---- in a directory: the real tool agrees, and many heads stay quick

static int __attribute__((format(printf, 1, 2))) shell(const char *format, ...)
{
    char command[1000];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(command, sizeof command, format, args);
    va_end(args);
    return system(command);
}

static void test_ssh_keygen_agrees(void **state)
{
    struct fixture *f = *state;
    struct error err;
    char dir[] = "/tmp/bkd-repository-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct store *s = NULL;
    OK(store_dir_open(io_real(), dir, false, &s, &err));
    OK(repository_create(io_real(), s, &f->info, (const char *)f->key_text.data, f->key_text.len, "echo recovered\n", "read me\n",
                         &err));
    OK(s->ops->put(s, "signers", f->signers.data, f->signers.len, &err));
    store_close(s);
    assert_int_equal(
        shell("cd %s && ssh-keygen -Y verify -f signers -I host -n %s -s recover.sh.sig < recover.sh >/dev/null 2>&1", dir,
              FORMAT_NAMESPACE_RECOVER),
        0);
    assert_int_equal(
        shell("cd %s && ssh-keygen -Y verify -f signers -I host -n %s -s RECOVER.txt.sig < RECOVER.txt >/dev/null 2>&1", dir,
              FORMAT_NAMESPACE_RECOVER),
        0);
    assert_int_not_equal(
        shell("cd %s && ssh-keygen -Y verify -f signers -I host -n %s -s RECOVER.txt.sig < recover.sh >/dev/null 2>&1", dir,
              FORMAT_NAMESPACE_RECOVER),
        0);
    assert_int_equal(shell("cd %s && sed '/BEGIN SSH/,$d' bkd-repository >text && sed -n '/BEGIN SSH/,$p' bkd-repository >sig && "
                           "ssh-keygen -Y verify -f signers -I host -n %s -s sig < text >/dev/null 2>&1",
                           dir, FORMAT_NAMESPACE_REPOSITORY),
                     0);
    OK(fs_remove_tree(io_real(), AT_FDCWD, dir, &err));
}

static void test_many_heads(void **state)
{
    struct fixture *f = *state;
    enum { MANY = 3000 };
    uint8_t previous[32] = { 0 };
    for (uint64_t n = 1; n <= MANY; n++)
        put_head(f, chain_a, n, previous, NULL);
    struct store *stores[2] = { f->store, store_memory_new() };
    struct error err;
    OK(f->store->ops->list(f->store, "", copy_file, stores, &err));
    uint64_t start = io_monotonic_ns(io_real());
    _cleanup_repository_ struct repository *r = NULL;
    OK(repository_open(io_real(), stores[1], buf_str(&f->signers), &r, &err));
    uint64_t ms = (io_monotonic_ns(io_real()) - start) / 1000000;
    assert_int_equal(r->n_heads, MANY);
    assert_int_equal(repository_count_problems(r), 0);
    print_message("%d heads opened and verified in %llu ms\n", MANY, (unsigned long long)ms);
}

static int open_near(struct fixture *f, const char *snapshot, struct repository **ret_repository)
{
    struct store *stores[2] = { f->store, store_memory_new() };
    struct error err;
    OK(f->store->ops->list(f->store, "", copy_file, stores, &err));
    return repository_open_near(io_real(), stores[1], buf_str(&f->signers), snapshot, ret_repository, &err);
}

// `n`: heads that are read for it.
static void check_near(struct fixture *f, const uint8_t *chain, const char *snapshot, size_t n, uint64_t number)
{
    struct error err;
    const struct repository_head *h = NULL;
    _cleanup_repository_ struct repository *r = NULL;
    assert_int_equal(open_near(f, snapshot, &r), 0);
    assert_int_equal(r->n_heads, n);
    OK(repository_find(r, chain, snapshot, &h, &err));
    assert_int_equal(h->number, number);
    assert_memory_equal(h->chain, chain, 16);
    OK(repository_read_all_heads(r, buf_str(&f->signers), &err));
    assert_false(r->partial);
    OK(repository_find(r, chain, snapshot, &h, &err)); // the same one
    assert_int_equal(h->number, number);
}

// One snapshot of many: what is read does not grow with their number, and what is found is the same.
static void test_near(void **state)
{
    struct fixture *f = *state;
    struct error err;
    uint8_t a[32] = { 0 }, b[32] = { 0 };
    for (uint64_t n = 1; n <= 20; n++)
        put_head(f, chain_a, n, a, NULL);
    for (uint64_t n = 1; n <= 10; n++)
        put_head(f, chain_b, n, b, &(struct head_options){ .policy = "other" });
    check_near(f, chain_a, "latest", 8, 20);
    check_near(f, chain_b, "latest", 8, 10);
    check_near(f, chain_a, "7", 9, 7);
    check_near(f, chain_a, "19", 8, 19);
    check_near(f, chain_a, "latest~9", 13 + 10, 11); // the ten of the other chain
    _cleanup_repository_ struct repository *r = NULL;
    const struct repository_head *h = NULL;
    assert_int_equal(open_near(f, "21", &r), 0);
    assert_true(r->partial);
    assert_int_equal(repository_find(r, chain_a, "21", &h, &err), ERROR_NOT_FOUND);
    OK(repository_read_all_heads(r, buf_str(&f->signers), &err));
    assert_int_equal(repository_find(r, chain_a, "21", &h, &err), ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, "1 to 20"));
}

// The newest ones are void: then all are read.
static void test_near_void(void **state)
{
    struct fixture *f = *state;
    struct error err;
    uint8_t previous[32] = { 0 };
    for (uint64_t n = 1; n <= 20; n++)
        put_head(f, chain_a, n, previous, n > 15 ? &(struct head_options){ .cut = 5 } : NULL);
    _cleanup_repository_ struct repository *r = NULL;
    const struct repository_head *h = NULL;
    assert_int_equal(open_near(f, "latest", &r), 0);
    assert_false(r->partial);
    assert_int_equal(r->n_heads, 20);
    OK(repository_find(r, NULL, "latest", &h, &err));
    assert_int_equal(h->number, 15);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_create),
        WITH(test_create_after_a_killed_one),
        WITH(test_create_needs_a_key),
        WITH(test_who_signed),
        WITH(test_description_corrupted),
        WITH(test_chain),
        WITH(test_void_numbers),
        WITH(test_head_corrupted),
        WITH(test_forks_and_breaks),
        WITH(test_first_head_missing),
        WITH(test_other_files_are_not_heads),
        WITH(test_several_chains),
        WITH(test_refs),
        WITH(test_ssh_keygen_agrees),
        WITH(test_many_heads),
        WITH(test_near),
        WITH(test_near_void),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
