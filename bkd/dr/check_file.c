// type: file
#include <errno.h>
#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/dr/check_kinds.h"
#include "bkd/dr/inside.h"

enum { CHUNK = 256 << 10 };

static int compare_size(const struct policy_check *check, uint64_t size, struct error *err)
{
    if (size < check->min_size_bytes)
        return error_set(err, ERROR_FAILED, "'%s' has %" PRIu64 " bytes, at least %" PRIu64 " were expected", check->file, size, check->min_size_bytes);
    if (check->max_size_bytes > 0 && size > check->max_size_bytes)
        return error_set(err, ERROR_FAILED, "'%s' has %" PRIu64 " bytes, at most %" PRIu64 " were expected", check->file, size, check->max_size_bytes);
    return 0;
}

static int compare_hash(const struct check_tree *tree, const struct policy_check *check, int fd, struct error *err)
{
    _cleanup_crypto_sha256_ struct crypto_sha256 hash = { 0 };
    _cleanup_buf_ struct buf hex = { 0 }, chunk = { 0 };
    uint8_t digest[CRYPTO_SHA256_SIZE];
    uint64_t offset = 0;
    size_t n = 1;
    uint8_t *data = buf_extend(&chunk, CHUNK);
    crypto_sha256_init(&hash);
    while (n > 0) {
        int r = io_pread_full(tree->io, fd, data, CHUNK, offset, check->file, &n, err);
        if (r < 0)
            return r;
        crypto_sha256_update(&hash, data, n);
        offset += n;
    }
    crypto_sha256_final(&hash, digest);
    buf_add_hex(&hex, digest, sizeof digest);
    if (strcasecmp(buf_str(&hex), check->sha256) == 0)
        return 0;
    return error_set(err, ERROR_FAILED, "'%s' has the SHA-256 %s, and %s was expected", check->file, buf_str(&hex), check->sha256);
}

// Does a line of the file match the extended regular expression (regex(7))?
static int find_pattern(const struct policy_check *check, int fd, struct error *err)
{
    regex_t expression;
    char *line = NULL;
    size_t room = 0;
    bool found = false;
    FILE *file = fdopen(dup(fd), "r");
    if (file == NULL)
        return error_set_errno(err, errno, "read '%s'", check->file);
    int r = regcomp(&expression, check->pattern, REG_EXTENDED | REG_NOSUB);
    if (r == 0) {
        while (!found && getline(&line, &room, file) >= 0) {
            line[strcspn(line, "\n")] = '\0';
            found = regexec(&expression, line, 0, NULL, 0) == 0;
        }
        regfree(&expression);
    }
    free(line);
    (void)fclose(file);
    if (r != 0)
        return error_set(err, ERROR_USAGE, "'%s' is no extended regular expression", check->pattern);
    return found ? 0 : error_set(err, ERROR_FAILED, "no line of '%s' matches '%s'", check->file, check->pattern);
}

int check_file(const struct check_tree *tree, const struct policy_check *check, struct buf *ret_found, struct error *err)
{
    struct statx st;
    int fd = -1;
    int r = inside_open(tree->fd, check->file, O_RDONLY | O_NONBLOCK | O_NOCTTY, &fd, err);
    if (r < 0)
        return r;
    r = io_stat(tree->io, fd, "", AT_EMPTY_PATH, &st, err);
    bool wants_content = check->sha256[0] != '\0' || check->pattern[0] != '\0' || check->min_size_bytes > 0 || check->max_size_bytes > 0;
    if (r == 0 && wants_content && !S_ISREG(st.stx_mode))
        r = error_set(err, ERROR_FAILED, "'%s' is no regular file", check->file);
    if (r == 0 && wants_content)
        r = compare_size(check, st.stx_size, err);
    if (r == 0 && check->sha256[0] != '\0')
        r = compare_hash(tree, check, fd, err);
    if (r == 0 && check->pattern[0] != '\0')
        r = find_pattern(check, fd, err);
    io_close_quietly(tree->io, &fd);
    if (r == 0)
        buf_addf(ret_found, "'%s' is there, %" PRIu64 " bytes", check->file, (uint64_t)st.stx_size);
    return r;
}
