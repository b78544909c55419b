#include "bkd/base/estimate.h"

#include <math.h>

// How strongly the two costs are drawn towards ESTIMATE_FILE_BYTES: enough to decide when the samples do not.
#define PULL 1e-3

void estimate_add(struct estimate *e, double files, double bytes, double seconds)
{
    double keep = exp2(-seconds / ESTIMATE_HALF_LIFE_S);
    e->files = e->files * keep + files;
    e->bytes = e->bytes * keep + bytes;
    e->seconds = e->seconds * keep + seconds;
    e->files_files = e->files_files * keep + files * files;
    e->files_bytes = e->files_bytes * keep + files * bytes;
    e->bytes_bytes = e->bytes_bytes * keep + bytes * bytes;
    e->files_seconds = e->files_seconds * keep + files * seconds;
    e->bytes_seconds = e->bytes_seconds * keep + bytes * seconds;
}

// Least squares with no cost below zero.
static void fit(const struct estimate *e, double *ret_a, double *ret_b)
{
    double pull = PULL * e->files_files;
    double ff = e->files_files + pull, fb = e->files_bytes - pull * ESTIMATE_FILE_BYTES;
    double bb = e->bytes_bytes + pull * ESTIMATE_FILE_BYTES * ESTIMATE_FILE_BYTES;
    double determinant = ff * bb - fb * fb;
    *ret_a = *ret_b = 0;
    if (ff > 0 && bb > 0 && determinant > 1e-12 * ff * bb) {
        *ret_a = (e->files_seconds * bb - e->bytes_seconds * fb) / determinant;
        *ret_b = (e->bytes_seconds * ff - e->files_seconds * fb) / determinant;
    }
    if (*ret_a > 0 && *ret_b > 0)
        return;
    bool files_only = e->bytes_bytes == 0 || (*ret_a > 0 && *ret_b <= 0);
    *ret_a = files_only && e->files_files > 0 ? e->files_seconds / e->files_files : 0;
    *ret_b = !files_only ? e->bytes_seconds / e->bytes_bytes : 0;
}

bool estimate_costs(const struct estimate *e, double *ret_seconds_per_file, double *ret_seconds_per_byte)
{
    double a, b;
    fit(e, &a, &b);
    double explained = a * e->files + b * e->bytes;
    if (!(explained > 0))
        return false;
    *ret_seconds_per_file = a * e->seconds / explained;
    *ret_seconds_per_byte = b * e->seconds / explained;
    return true;
}

bool estimate_seconds(const struct estimate *e, double files, double bytes, double *ret_seconds)
{
    double a, b;
    if (!estimate_costs(e, &a, &b))
        return false;
    // A kind of work that was never met costs something unknown.
    if ((files > 0 && e->files == 0 && bytes == 0) || (bytes > 0 && e->bytes == 0))
        return false;
    *ret_seconds = files * a + bytes * b;
    return true;
}
