#include "bkd/plans/planning_ask.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/base/log.h"

#define NAME_MAX_BYTES 200u
#define LINE_MAX_BYTES 4000u
#define ANSWER_MAX (64u << 10) // of the file: with every byte of both escaped it is less

void planning_answer_done(struct planning_answer *a)
{
    free(a->by);
    free(a->note);
    free(a->choice);
    *a = (struct planning_answer){ 0 };
}

int planning_check_choice(const struct recovery_step *step, const char *choice, struct error *err)
{
    _cleanup_buf_ struct buf list = { 0 };
    if (step->type != RECOVERY_DECISION)
        return choice[0] == '\0' ? 0 : error_set(err, ERROR_USAGE, "step '%s' is no decision: there is nothing to choose", step->id);
    for (size_t i = 0; i < step->choices.count; i++) {
        if (strcmp(step->choices.items[i], choice) == 0)
            return 0;
        buf_addf(&list, "%s%s", i == 0 ? "" : ", ", step->choices.items[i]);
    }
    return error_set(err, ERROR_USAGE, "step '%s' is a decision between: %s", step->id, buf_str(&list));
}

// ---- from elsewhere

static int check_lengths(const struct planning_answer *answer, struct error *err)
{
    if (strlen(answer->by) > NAME_MAX_BYTES)
        return error_set(err, ERROR_USAGE, "a name has at most %u bytes, not %zu", NAME_MAX_BYTES, strlen(answer->by));
    if (strlen(answer->note) > LINE_MAX_BYTES)
        return error_set(err, ERROR_USAGE, "a note has at most %u bytes, not %zu: say in it where the rest is", LINE_MAX_BYTES, strlen(answer->note));
    return 0;
}

int planning_answer_write(const struct io *io, const char *directory, const char *step, const struct planning_answer *answer, struct error *err)
{
    _cleanup_free_ char *answers = xasprintf("%s/answers", directory), *path = xasprintf("%s/%s.json", answers, step);
    _cleanup_json_ struct json *object = json_object_new();
    _cleanup_buf_ struct buf text = { 0 };
    json_add_str(object, "by", answer->by);
    json_add_str(object, "note", answer->note);
    json_add_str(object, "choice", answer->choice);
    json_add_bool(object, "refused", answer->refused);
    json_add_time(object, "time", io_realtime_ns(io));
    json_format(object, &text);
    buf_add_char(&text, '\n');
    int r = check_lengths(answer, err);
    if (r == 0)
        r = fs_make_dirs(io, AT_FDCWD, answers, 0700, err);
    if (r == 0)
        r = fs_create_file(io, AT_FDCWD, path, 0600, text.data, text.len, err);
    return r == ERROR_EXISTS ? error_set(err, r, "step '%s' was answered already", step) : r;
}

static char *text_of(const struct json *object, const char *key)
{
    const char *text = json_get_str(object, key);
    return xstrdup(text == NULL ? "" : text);
}

void planning_answer_drop(const struct io *io, const char *directory, const char *step)
{
    _cleanup_free_ char *path = xasprintf("%s/answers/%s.json", directory, step);
    struct error ignored; // there may be none
    (void)!io_unlink(io, AT_FDCWD, path, 0, &ignored);
}

bool planning_answer_read(const struct io *io, const char *directory, const char *step, struct planning_answer *ret_answer)
{
    _cleanup_free_ char *path = xasprintf("%s/answers/%s.json", directory, step);
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_json_ struct json *object = NULL;
    struct error err;
    int r = fs_read_file(io, AT_FDCWD, path, ANSWER_MAX, &text, &err);
    if (r == 0)
        r = json_parse(text.data, text.len, &object, &err);
    if (r < 0 && r != ERROR_NOT_FOUND) { // else nobody could answer any more
        log_warn("an answer to step '%s' cannot be understood, and is thrown away: %s", step, err.text);
        planning_answer_drop(io, directory, step);
    }
    if (r < 0)
        return false;
    *ret_answer = (struct planning_answer){ .by = text_of(object, "by"), .note = text_of(object, "note"), .choice = text_of(object, "choice") };
    (void)json_get_bool(object, "refused", &ret_answer->refused);
    return true;
}

// ---- on the terminal

enum { STAGE_VERDICT, STAGE_NAME, STAGE_NOTE };

static void prompt(const struct planning_dialogue *d)
{
    if (d->stage == STAGE_VERDICT && d->step->type == RECOVERY_DECISION) {
        fprintf(stderr, "[%s] choose", d->step->id);
        for (size_t i = 0; i < d->step->choices.count; i++)
            fprintf(stderr, "%s%s", i == 0 ? " " : " / ", d->step->choices.items[i]);
        fprintf(stderr, ": ");
    } else {
        fprintf(stderr, "[%s] %s: ", d->step->id, d->stage == STAGE_VERDICT ? "is it done? yes / no" : d->stage == STAGE_NAME ? "your name" : "a note (may be empty)");
    }
}

void planning_dialogue_done(struct planning_dialogue *d)
{
    planning_answer_done(&d->answer);
    buf_done(&d->line);
}

void planning_dialogue_drop(struct planning_dialogue *d)
{
    planning_answer_done(&d->answer);
    d->step = NULL;
    d->stage = STAGE_VERDICT;
    d->line.len = 0;
    fprintf(stderr, "\n");
}

void planning_dialogue_begin(struct planning_dialogue *d, const struct recovery_step *step)
{
    d->step = step;
    d->stage = STAGE_VERDICT;
    prompt(d);
}

// False: it is asked again.
static bool take_verdict(struct planning_dialogue *d, const char *line)
{
    struct error err;
    d->answer.refused = d->step->type != RECOVERY_DECISION && strcmp(line, "no") == 0;
    if (d->step->type != RECOVERY_DECISION)
        return d->answer.refused || strcmp(line, "yes") == 0;
    if (planning_check_choice(d->step, line, &err) < 0)
        return false;
    d->answer.choice = xstrdup(line);
    return true;
}

// True when the last stage is done.
static bool take_line(struct planning_dialogue *d, const char *line)
{
    if (d->stage == STAGE_NOTE) {
        d->answer.note = xstrdup(line);
        return true;
    }
    if (d->stage == STAGE_VERDICT && take_verdict(d, line)) {
        d->stage = STAGE_NAME;
    } else if (d->stage == STAGE_NAME && line[0] != '\0') {
        d->answer.by = xstrdup(line);
        d->stage = STAGE_NOTE;
    }
    prompt(d);
    return false;
}

bool planning_dialogue_go_on(struct planning_dialogue *d, int wait_ms, struct planning_answer *ret_answer)
{
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    char c;
    if (poll(&input, 1, wait_ms) <= 0)
        return false;
    ssize_t n = read(STDIN_FILENO, &c, 1);
    if (n <= 0) {
        d->enabled = n < 0; // the end of input: answers come from elsewhere
        return false;
    }
    if (c != '\n') {
        if (d->line.len < LINE_MAX_BYTES)
            buf_add_char(&d->line, c);
        return false;
    }
    _cleanup_free_ char *line = xstrdup(buf_str(&d->line));
    d->line.len = 0;
    if (!take_line(d, line))
        return false;
    *ret_answer = d->answer;
    if (ret_answer->choice == NULL)
        ret_answer->choice = xstrdup("");
    d->answer = (struct planning_answer){ 0 };
    d->step = NULL;
    return true;
}
