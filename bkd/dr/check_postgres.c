// type: postgres. A private server of Debian's PostgreSQL, reached only through a socket in a directory of its own: on the restored data directory, with a
// configuration of our own (Debian keeps the real one elsewhere, and it would name addresses and archives of the live system), or on a new one that takes
// the restored dump.
#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/dr/check_kinds.h"
#include "bkd/dr/inside.h"

#define SERVERS "/usr/lib/postgresql"

struct server {
    const struct check_tree *tree;
    const struct policy_check *check;
    const char *user;  // who runs it; NULL = whoever we are
    char *name;        // owned: of user
    char *bin;         // owned: directory of its programs
    char *data;        // owned
    char *place;       // owned: socket, configuration, and the data directory of a dump
    struct buf *found; // borrowed
    bool is_loaded;    // the dump
};

// ---- finding

static int newest_version(const struct check_tree *tree, const char *wanted, char **ret_bin, struct error *err)
{
    DIR *dir = opendir(SERVERS);
    struct dirent *entry;
    double best = 0;
    (void)tree;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        double version = strtod(entry->d_name, NULL);
        _cleanup_free_ char *program = xasprintf(SERVERS "/%s/bin/postgres", entry->d_name);
        if (version <= best || access(program, X_OK) < 0 || (wanted != NULL && strcmp(wanted, entry->d_name) != 0))
            continue;
        best = version;
        free(*ret_bin);
        *ret_bin = xasprintf(SERVERS "/%s/bin", entry->d_name);
    }
    if (dir != NULL)
        (void)closedir(dir);
    if (*ret_bin != NULL)
        return 0;
    return error_set(err, ERROR_FAILED, "there is no PostgreSQL server%s%s in " SERVERS ": apt-get install postgresql%s%s", wanted == NULL ? "" : " ", wanted == NULL ? "" : wanted,
                     wanted == NULL ? "" : "-", wanted == NULL ? "" : wanted);
}

static int find_data(struct server *s, struct error *err)
{
    _cleanup_buf_ struct buf version = { 0 };
    _cleanup_free_ char *file = NULL;
    int r = inside_path(s->tree->io, s->tree->fd, s->check->directory, &s->data, err);
    if (r < 0)
        return r;
    file = xasprintf("%s/PG_VERSION", s->data);
    r = fs_read_file(s->tree->io, AT_FDCWD, file, 64, &version, err);
    if (r < 0)
        return error_set(err, r, "'%s' is no data directory of PostgreSQL: it has no PG_VERSION", s->check->directory);
    _cleanup_free_ char *number = xstrndup(buf_str(&version), strcspn(buf_str(&version), "\n"));
    return newest_version(s->tree, number, &s->bin, err);
}

// PostgreSQL does not run as root: as the user that is named, else as the owner of the data, else as postgres. Who cannot become another runs it themselves.
static int find_user(struct server *s, struct error *err)
{
    struct stat st;
    bool has_owner = s->data != NULL && stat(s->data, &st) == 0 && st.st_uid != 0;
    if (geteuid() != 0 && (s->tree->userns_fd == 0 || (s->check->user[0] == '\0' && (!has_owner || st.st_uid == geteuid()))))
        return 0;
    struct passwd *owner = has_owner ? getpwuid(st.st_uid) : NULL;
    s->name = xstrdup(s->check->user[0] != '\0' ? s->check->user : owner != NULL ? owner->pw_name : "postgres");
    s->user = s->name;
    return getpwnam(s->name) != NULL ? 0 : error_set(err, ERROR_FAILED, "there is no user '%s' to run the server as", s->name);
}

static int give_to_user(const struct server *s, const char *path, struct error *err)
{
    struct passwd *user = s->user == NULL ? NULL : getpwnam(s->user);
    if (user != NULL && chown(path, user->pw_uid, user->pw_gid) < 0)
        return error_set_errno(err, errno, "give '%s' to %s", path, s->user);
    return 0;
}

// In the directory for temporary files: the name of a socket has at most 107 bytes.
static int make_place(struct server *s, struct error *err)
{
    static const char hba[] = "local all all trust\n";
    const char *dir = getenv("TMPDIR");
    char *place = xasprintf("%s/bkd-pg-XXXXXX", dir == NULL || dir[0] == '\0' ? "/tmp" : dir);
    if (mkdtemp(place) == NULL) {
        int r = error_set_errno(err, errno, "make a directory '%s'", place);
        free(place);
        return r;
    }
    s->place = place;
    _cleanup_free_ char *hba_file = xasprintf("%s/pg_hba.conf", place), *config = xasprintf("%s/postgresql.conf", place);
    _cleanup_buf_ struct buf text = { 0 };
    buf_addf(&text, "listen_addresses = ''\nunix_socket_directories = '%s'\nhba_file = '%s'\nfsync = off\nautovacuum = off\narchive_mode = off\nshared_buffers = 16MB\n", place,
             hba_file);
    int r = fs_create_file(s->tree->io, AT_FDCWD, hba_file, 0644, hba, sizeof hba - 1, err);
    if (r == 0)
        r = fs_create_file(s->tree->io, AT_FDCWD, config, 0644, buf_str(&text), text.len, err);
    return r < 0 ? r : give_to_user(s, place, err);
}

// ---- asking

static int run_tool(struct server *s, const char *tool, const char *const *arguments, struct proc_result *ret_result, struct error *err)
{
    const char *argv[16] = { NULL };
    _cleanup_free_ char *program = xasprintf("%s/%s", s->bin, tool);
    size_t n = 0;
    argv[n++] = program;
    while (*arguments != NULL && n < 15)
        argv[n++] = *arguments++;
    return check_run(s->tree, s->check, argv, s->user, ret_result, err);
}

static bool is_ready(struct server *s)
{
    const char *const arguments[] = { "-q", "-h", s->place, NULL };
    struct error not_yet;
    return run_tool(s, "pg_isready", arguments, NULL, &not_yet) == 0;
}

static const char *database_of(const struct server *s) { return s->check->database[0] != '\0' ? s->check->database : "postgres"; }

// A dump of the custom, tar or directory format goes through pg_restore, one of SQL through psql.
static int load_dump(struct server *s, struct error *err)
{
    _cleanup_free_ char *dump = NULL;
    int r = inside_path(s->tree->io, s->tree->fd, s->check->dump, &dump, err);
    const char *const create[] = { "-h", s->place, database_of(s), NULL };
    const char *const list[] = { "-l", dump, NULL };
    const char *const restore[] = { "-h", s->place, "-d", database_of(s), "--exit-on-error", "--no-owner", "--no-privileges", dump, NULL };
    const char *const sql[] = { "-h", s->place, "-d", database_of(s), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", dump, NULL };
    struct error is_sql;
    if (r == 0 && strcmp(database_of(s), "postgres") != 0)
        r = run_tool(s, "createdb", create, NULL, err);
    if (r < 0)
        return r;
    r = run_tool(s, "pg_restore", list, NULL, &is_sql) == 0 ? run_tool(s, "pg_restore", restore, NULL, err) : run_tool(s, "psql", sql, NULL, err);
    s->is_loaded = r == 0;
    return r;
}

static int ask(void *arg, bool *ret_answered, struct error *err)
{
    struct server *s = arg;
    _cleanup_proc_result_ struct proc_result result = { 0 };
    const char *query = s->check->query[0] != '\0' ? s->check->query : "SELECT 1";
    const char *const arguments[] = { "-h", s->place, "-d", database_of(s), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", query, NULL };
    if (!is_ready(s))
        return 0;
    int r = s->check->dump[0] != '\0' && !s->is_loaded ? load_dump(s, err) : 0;
    if (r == 0)
        r = run_tool(s, "psql", arguments, &result, err);
    if (r == 0)
        r = check_expected(s->check, buf_str(&result.output.tail), err);
    *ret_answered = r == 0;
    if (r == 0)
        buf_addf(s->found, "the server answers; the query gives %.*s", (int)strcspn(buf_str(&result.output.tail), "\n"), buf_str(&result.output.tail));
    return r;
}

static int make_cluster(struct server *s, struct error *err)
{
    s->data = xasprintf("%s/data", s->place);
    const char *const arguments[] = { "-D", s->data, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", NULL };
    return run_tool(s, "initdb", arguments, NULL, err);
}

// ---- all of it

static int start(struct server *s, struct error *err)
{
    _cleanup_free_ char *program = xasprintf("%s/postgres", s->bin), *config = xasprintf("config_file=%s/postgresql.conf", s->place);
    const char *argv[] = { program, "-D", s->data, "-c", config, NULL };
    return check_serve(s->tree, s->check, argv, s->user, ask, s, err);
}

int check_postgres(const struct check_tree *tree, const struct policy_check *check, struct buf *ret_found, struct error *err)
{
    struct server s = { .tree = tree, .check = check, .found = ret_found };
    struct error ignored;
    bool on_dump = check->dump[0] != '\0';
    int r = on_dump ? newest_version(tree, NULL, &s.bin, err) : find_data(&s, err);
    if (r == 0)
        r = find_user(&s, err);
    if (r == 0)
        r = make_place(&s, err);
    if (r == 0 && on_dump)
        r = make_cluster(&s, err);
    if (r == 0)
        r = start(&s, err);
    if (s.place != NULL)
        (void)!fs_remove_tree(tree->io, AT_FDCWD, s.place, &ignored); // below the directory for temporary files: found and removed by anybody
    free(s.place);
    free(s.data);
    free(s.bin);
    free(s.name);
    return r;
}
