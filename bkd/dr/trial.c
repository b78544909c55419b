#include "bkd/dr/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/env.h"
#include "bkd/base/proc.h"
#include "bkd/base/shell.h"

// ---- the command line

struct words {
    const char **list; // ends with NULL; the words are not owned
    size_t n;
};

static void words_done(struct words *w) { free(w->list); }

static void add_word(struct words *w, const char *word)
{
    w->list = xrealloc(w->list, (w->n + 2) * sizeof *w->list);
    w->list[w->n++] = word;
    w->list[w->n] = NULL;
}

static void add_option(struct words *w, const char *name, const char *value)
{
    if (value == NULL)
        return;
    add_word(w, name);
    add_word(w, value);
}

static void make_command(const struct trial_request *q, const char *number, struct words *w)
{
    add_option(w, q->program, "restore");
    add_word(w, "--json");
    add_word(w, "--verify");
    add_option(w, "-r", q->repository);
    add_option(w, "-i", q->identity);
    add_option(w, "-s", q->signers);
    add_option(w, "--ssh-identity", q->ssh_identity);
    add_option(w, "--ssh-passphrase", q->ssh_passphrase);
    add_option(w, "--ssh-config", q->ssh_config);
    add_option(w, "--transport", q->ssh_program ? "ssh" : NULL);
    add_option(w, "--known-hosts", q->known_hosts);
    add_option(w, "--chain", q->chain);
    add_option(w, "--target", q->target);
    if (q->is_in_place)
        add_word(w, "--in-place");
    add_option(w, "--overwrite", q->is_merging ? "if-changed" : NULL);
    add_word(w, number);
    add_word(w, "--");
    for (size_t i = 0; i < q->n_paths; i++)
        add_word(w, q->paths[i]);
}

// The whole command as one word behind those that bring it elsewhere; *text holds it.
static void wrap(const struct trial_request *q, struct words *w, struct buf *text)
{
    struct words outer = { 0 };
    buf_add_str(text, q->shell == NULL ? "" : q->shell);
    shell_add_command(text, w->list);
    for (size_t i = 0; q->through[i] != NULL; i++)
        add_word(&outer, q->through[i]);
    add_word(&outer, buf_str(text));
    words_done(w);
    *w = outer;
}

// ---- its report

struct listening {
    struct trial *trial;
    struct json *summary; // owned
    bool (*stop)(void *arg);
};

static void take_problem(struct trial *t, const struct json *line)
{
    const char *path = json_get_str(line, "path"), *reason = json_get_str(line, "reason");
    t->n_problems++;
    if (t->n_problems <= TRIAL_PROBLEMS_KEPT && path != NULL && reason != NULL)
        buf_addf(&t->problems, "%.300s: %.300s\n", path, reason);
}

static void take_line(void *arg, enum proc_stream stream, const char *text, size_t n)
{
    struct listening *l = arg;
    _cleanup_json_ struct json *line = NULL;
    struct error ignored; // a line that is none says nothing
    if (stream != PROC_OUTPUT || json_parse(text, n, &line, &ignored) < 0)
        return;
    const char *type = json_get_str(line, "type");
    if (type == NULL)
        return;
    if (strcmp(type, "problem") == 0)
        take_problem(l->trial, line);
    if (strcmp(type, "error") == 0) {
        const char *message = json_get_str(line, "message");
        free(l->trial->why);
        l->trial->why = message == NULL ? NULL : xstrdup(message);
    }
    if (strcmp(type, "summary") == 0) {
        json_free(&l->summary);
        l->summary = line;
        line = NULL;
    }
}

static bool asks_to_stop(void *arg)
{
    const struct listening *l = arg;
    return l->stop != NULL && l->stop(NULL);
}

// Whatever is neither what was signed nor something the target cannot hold means that it did not come back.
static bool all_came_back(const struct json *summary, int exit_code)
{
    static const char *const fatal[] = { "lost", "refused", "exists", "skipped", "differs", "stripped" };
    const struct json *problems = summary == NULL ? NULL : json_get(summary, "problems");
    if (problems == NULL || (exit_code != 0 && exit_code != 3))
        return false;
    if (json_number(problems, "failed") > json_number(summary, "special_impossible"))
        return false;
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        if (json_number(problems, fatal[i]) > 0)
            return false;
    return true;
}

static void take_summary(struct trial *t, const struct json *s)
{
    t->is_restored = all_came_back(s, t->exit_code);
    if (s == NULL) {
        t->phases = (struct phases){ .ns = { [PHASE_LOCATE] = t->wall_ns } };
        return;
    }
    t->files = json_number(s, "files");
    t->entries = t->files + json_number(s, "directories") + json_number(s, "links") + json_number(s, "hard_links") + json_number(s, "other");
    t->bytes = json_number(s, "bytes");
    t->bytes_fetched = json_number(s, "bytes_fetched");
    t->inexact = json_number(json_get(s, "problems"), "metadata");
    t->owners = json_number(s, "owners_different");
    t->sockets = json_number(s, "sockets_skipped");
    t->special = json_number(s, "special_impossible");
    phases_of_restore(s, t->wall_ns, &t->phases);
}

static void keep_last_words(struct trial *t, const struct proc_result *result)
{
    size_t n;
    const char *line = proc_last_line(&result->error.tail, &n);
    if (t->why == NULL && n > 0)
        t->why = xstrndup(line, n);
}

static void tell_timeout(struct trial *t, const struct trial_request *request)
{
    char limit[CLOCK_TEXT_MAX];
    clock_format_duration(limit, request->timeout_ms * 1000000);
    free(t->why);
    t->why = xasprintf("it was ended because it took longer than %s", limit);
}

int trial_run(const struct io *io, const struct trial_request *request, struct trial *ret_trial, struct error *err)
{
    __attribute__((cleanup(words_done))) struct words command = { 0 };
    _cleanup_env_ struct env env = { 0 };
    _cleanup_buf_ struct buf wrapped = { 0 };
    _cleanup_proc_result_ struct proc_result result = { 0 };
    struct trial trial = { 0 };
    struct listening listening = { .trial = &trial, .stop = request->stop };
    char number[24];
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)request->snapshot);
    make_command(request, number, &command);
    if (request->through != NULL)
        wrap(request, &command, &wrapped);
    env_init(&env, NULL);
    env_add(&env, "TMPDIR", getenv("TMPDIR"));
    env_add(&env, "SSH_AUTH_SOCK", getenv("SSH_AUTH_SOCK"));
    env_add(&env, "CREDENTIALS_DIRECTORY", getenv("CREDENTIALS_DIRECTORY"));
    uint64_t since = io_monotonic_ns(io);
    int r = proc_run(io,
                     &(struct proc_options){ .argv = command.list, .env = env.list, .stdin_fd = request->stdin_fd, .userns_fd = request->userns_fd, .gives_way = request->gives_way,
                                             .timeout_ms = request->timeout_ms, .line = take_line, .stop = asks_to_stop, .arg = &listening },
                     &result, err);
    trial.wall_ns = io_monotonic_ns(io) - since;
    trial.exit_code = result.end == PROC_EXITED ? result.code : -1;
    if (r == 0)
        take_summary(&trial, listening.summary);
    if (r == 0 && result.end == PROC_TIMED_OUT)
        tell_timeout(&trial, request);
    else if (r == 0 && trial.exit_code != 0)
        keep_last_words(&trial, &result);
    json_free(&listening.summary);
    if (r == 0)
        *ret_trial = trial;
    else
        trial_done(&trial);
    return r;
}

void trial_done(struct trial *t)
{
    buf_done(&t->problems);
    free(t->why);
    *t = (struct trial){ 0 };
}
