#include "bkd/base/nearest.h"

#include <stdint.h>
#include <string.h>

#define WORD_MAX 63

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

size_t nearest_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    if (la > WORD_MAX || lb > WORD_MAX)
        return SIZE_MAX;
    size_t d[WORD_MAX + 1][WORD_MAX + 1];
    for (size_t i = 0; i <= la; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= lb; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        for (size_t j = 1; j <= lb; j++) {
            size_t replace = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, replace);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    }
    return d[la][lb];
}

struct nearest nearest_to(const char *typed)
{
    return (struct nearest){ .typed = typed, .best = NULL, .distance = SIZE_MAX };
}

void nearest_offer(struct nearest *nearest, const char *word)
{
    size_t typed_len = strlen(nearest->typed);
    size_t distance = nearest_distance(nearest->typed, word);
    size_t allowed = typed_len < 3 ? 1 : typed_len / 3;
    if (typed_len >= 2 && strncmp(word, nearest->typed, typed_len) == 0)
        distance = 1;
    if (typed_len < 2 || distance > allowed || distance >= nearest->distance)
        return;
    nearest->best = word;
    nearest->distance = distance;
}
