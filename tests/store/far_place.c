#include "tests/store/far_place.h"

#include <stdio.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/store/sftp_client.h"

int far_place_setup(void **state)
{
    struct far_place *p = xcalloc(1, sizeof *p);
    strcpy(p->dir, "/tmp/bkd-sftp-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    *state = p;
    return 0;
}

int far_place_teardown(void **state)
{
    struct far_place *p = *state;
    struct error err;
    store_close(p->store);
    OK(fs_remove_tree(io_real(), AT_FDCWD, p->dir, &err));
    free(p);
    return 0;
}

int far_place_open(struct far_place *p, struct error *err)
{
    struct store_connector connector = sftp_server_connector(&p->server);
    store_close(p->store);
    p->store = NULL;
    return store_sftp_open(io_real(), "sftp://test", p->dir, false, &connector, &p->store, err);
}

int far_place_spool(struct store *s, const void *data, size_t n, int *ret_fd, char **ret_name, struct error *err)
{
    int r = s->ops->spool_open(s, ret_fd, ret_name, err);
    return r < 0 ? r : io_write_all(io_real(), *ret_fd, data, n, "spool", err);
}

uint8_t *far_place_pattern(size_t n)
{
    uint8_t *data = xmalloc(n);
    uint32_t x = 1;
    for (size_t i = 0; i < n; i++)
        data[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    return data;
}

unsigned far_place_files_below(const char *dir)
{
    char command[128];
    unsigned n = 0;
    (void)snprintf(command, sizeof command, "find '%s' -type f | wc -l", dir);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%u", &n), 1);
    (void)pclose(f);
    return n;
}
