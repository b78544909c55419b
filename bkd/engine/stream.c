#include "bkd/engine/stream.h"

#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/proc.h"
#include "bkd/engine/scan.h"

enum { LAST_WORDS = 500, LAST_LINES = 3 }; // of a command's standard error, in the error about it

struct stream {
    const struct stream_source *source; // borrowed
    struct proc *proc;
    struct stream_watch watch;
    unsigned lines; // said so far
};

void stream_entry(const struct stream_source *source, uint64_t time_ns, struct manifest_entry *ret_entry)
{
    struct scan_names *names = scan_names_new();
    struct scan_stat ignored; // there is no inode
    struct statx st = { .stx_mode = S_IFREG | 0600, .stx_uid = geteuid(), .stx_gid = getegid(), .stx_nlink = 1 };
    st.stx_mtime.tv_sec = (int64_t)(time_ns / 1000000000u);
    st.stx_mtime.tv_nsec = (uint32_t)(time_ns % 1000000000u);
    *ret_entry = (struct manifest_entry){ 0 };
    manifest_entry_reset(ret_entry);
    buf_addf(&ret_entry->path, STREAM_ROOT "%s", source->name);
    scan_fill_entry(names, &st, ret_entry, &ignored);
    scan_names_free(names);
}

const struct stream_source *stream_find(const struct stream_source *sources, size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(path + strlen(STREAM_ROOT), sources[i].name) == 0)
            return &sources[i];
    return NULL;
}

static void pass_line(void *arg, enum proc_stream which, const char *line, size_t n)
{
    struct stream *s = arg;
    (void)which; // standard output is the file
    (void)n;
    if (s->watch.said == NULL || s->lines > STREAM_LINES_MAX)
        return;
    s->watch.said(s->watch.arg, s->source->name, s->lines++ < STREAM_LINES_MAX ? line : "(it says more, which is left out)");
}

static bool is_interrupted(void *arg)
{
    struct stream *s = arg;
    return s->watch.interrupted != NULL && s->watch.interrupted();
}

int stream_start(const struct io *io, const struct stream_source *source, const struct stream_watch *watch, struct stream **ret_stream, struct error *err)
{
    _cleanup_stream_ struct stream *s = xcalloc(1, sizeof *s);
    *s = (struct stream){ .source = source, .watch = *watch };
    struct proc_options options = {
        .argv = source->command, .env = source->env, .user = source->user, .timeout_ms = source->timeout_ms, .read_output = true, .line = pass_line,
        .stop = is_interrupted, .arg = s,
    };
    int r = proc_start(io, &options, &s->proc, err);
    if (r < 0) {
        (void)error_prefix(err, "stream '%s' cannot be started, no snapshot was made", source->name);
        return err->code = ERROR_FAILED; // also when there is no such program: no file of the sources is meant
    }
    *ret_stream = TAKE(s);
    return 0;
}

int stream_read(struct stream *s, void *data, size_t n, size_t *ret_n, struct error *err)
{
    size_t done = 0, got = 1;
    while (done < n && got > 0) {
        int r = proc_read(s->proc, (uint8_t *)data + done, n - done, &got, err);
        if (r < 0)
            return error_prefix(err, "stream '%s'", s->source->name);
        done += got;
    }
    *ret_n = done;
    return 0;
}

// The last lines of what it said, in one.
static char *last_words(const struct proc_result *result)
{
    struct buf words = { 0 };
    const struct buf *tail = &result->error.tail;
    size_t end = tail->len, lines = 0;
    while (end > 0 && tail->data[end - 1] == '\n')
        end--;
    size_t from = end;
    while (from > 0 && end - from < LAST_WORDS && (lines += tail->data[from - 1] == '\n') < LAST_LINES)
        from--;
    for (size_t i = from; i < end; i++)
        if (tail->data[i] == '\n')
            buf_add_str(&words, " | ");
        else
            buf_add_char(&words, tail->data[i] == '\0' ? '?' : (char)tail->data[i]);
    return buf_take_str(&words);
}

static int failed(const struct stream *s, const struct proc_result *result, struct error *err)
{
    char how[PROC_TEXT_MAX];
    _cleanup_free_ char *words = last_words(result);
    proc_result_text(result, how);
    const char *why = proc_result_ok(result) ? ", but processes it left behind still hold its output, which may lack its end" : "";
    return error_set(err, ERROR_FAILED, "stream '%s': '%s' %s%s; no snapshot was made, earlier ones stay%s%s", s->source->name, s->source->command[0], how, why,
                     words[0] != '\0' ? "; it said: " : "", words);
}

int stream_end(struct stream *s, struct error *err)
{
    _cleanup_proc_result_ struct proc_result result = { 0 };
    proc_wait(s->proc, &result);
    return proc_result_ok(&result) && !result.output_left_open ? 0 : failed(s, &result, err);
}

void stream_free(struct stream *s)
{
    if (s == NULL)
        return;
    proc_free(s->proc);
    free(s);
}

void free_streamp(struct stream **s) { stream_free(*s); }
