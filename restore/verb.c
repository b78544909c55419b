#include "restore/verb.h"

#include <stdio.h>
#include <string.h>

#include "bkd/base/shell.h"

int verb_print_line(struct json **line, struct error *err) { return json_line_print(line, stdout, err); }

void verb_print_error(const struct error *err)
{
    struct error ignored;
    struct json *line = json_line_new("error");
    json_add_str(line, "code", error_code_name(err->code));
    json_add_i64(line, "exit", error_exit_code(err->code));
    json_add_str(line, "message", err->text);
    if (verb_print_line(&line, &ignored) < 0)
        return; // the exit code tells it as well
}

void verb_add_printable(struct buf *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f || c == '\\')
            buf_addf(out, c == '\\' ? "\\\\" : "\\%03o", c);
        else
            buf_add_char(out, text[i]);
    }
}

void verb_format_again(const struct context *ctx, struct buf *out)
{
    bool resumes = false;
    for (int i = 0; i < ctx->argc; i++) {
        const char *word = ctx->argv[i];
        resumes = resumes || strcmp(word, "--resume") == 0;
        if (strcmp(word, "--") == 0 && !resumes) { // what follows are no options
            buf_add_str(out, " --resume");
            resumes = true;
        }
        buf_add_str(out, i == 0 ? "" : " ");
        shell_add_word(out, word);
    }
    buf_add_str(out, resumes ? "" : " --resume");
}
