#include "bkd/dr/estimate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/base/compare.h"

enum { TERMS = 3, SUBSETS = 1 << TERMS };
#define ERROR_LEAST 0.1
#define ERROR_UNTESTED 1.0
#define SECONDS_LEAST 1e-3

const char *estimate_part_name(enum estimate_part part)
{
    static const char *const names[ESTIMATE_PARTS] = { "people", "start", "files", "bytes", "line", "checks" };
    return names[part];
}

const char *estimate_part_help(enum estimate_part part)
{
    static const char *const texts[ESTIMATE_PARTS] = {
        "somebody who begins sooner: a deputy on duty, a plan that runs by itself",
        "little: starting, signatures and the manifest take this long",
        "faster small writes (SSD or NVMe), or fewer and larger files",
        "a faster disk or processor where it is restored to",
        "a faster line, a copy nearer by, or the most important policies first",
        "quicker checks, or checks that run after the services are back",
    };
    return texts[part];
}

// ---- least squares

static void terms_of(const struct estimate_run *run, double ret_terms[TERMS])
{
    ret_terms[0] = (double)run->bytes;
    ret_terms[1] = 1;
    ret_terms[2] = (double)run->files;
}

// Gauss with pivots on the normal equations of the terms in `subset`; false when they cannot be told apart.
static bool solve(double m[TERMS][TERMS + 1], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t pivot = i;
        for (size_t k = i + 1; k < n; k++)
            if (fabs(m[k][i]) > fabs(m[pivot][i]))
                pivot = k;
        if (fabs(m[pivot][i]) < 1e-9)
            return false;
        for (size_t c = 0; c <= n; c++) {
            double swap = m[i][c];
            m[i][c] = m[pivot][c];
            m[pivot][c] = swap;
        }
        for (size_t k = 0; k < n; k++) {
            double factor = k == i ? 0 : m[k][i] / m[i][i];
            for (size_t c = i; c <= n && k != i; c++)
                m[k][c] -= factor * m[i][c];
        }
    }
    return true;
}

// Each term is divided by its size in the runs, each run by the time it took.
static bool fit_subset(const struct estimate_run *runs, size_t n, unsigned subset, const double scale[TERMS], double ret_terms[TERMS], double *ret_error)
{
    size_t index[TERMS], count = 0;
    double m[TERMS][TERMS + 1] = { { 0 } }, error = 0, terms[TERMS];
    for (size_t t = 0; t < TERMS; t++)
        if ((subset & 1u << t) != 0)
            index[count++] = t;
    for (size_t i = 0; i < n; i++) {
        double weight = 1 / fmax(runs[i].local_s, SECONDS_LEAST);
        terms_of(&runs[i], terms);
        for (size_t a = 0; a < count; a++) {
            double x = terms[index[a]] / scale[index[a]] * weight;
            for (size_t b = 0; b < count; b++)
                m[a][b] += x * terms[index[b]] / scale[index[b]] * weight;
            m[a][count] += x * runs[i].local_s * weight;
        }
    }
    if (!solve(m, count))
        return false;
    memset(ret_terms, 0, TERMS * sizeof *ret_terms);
    for (size_t a = 0; a < count; a++) {
        ret_terms[index[a]] = m[a][count] / m[a][a] / scale[index[a]];
        if (ret_terms[index[a]] < 0)
            return false;
    }
    for (size_t i = 0; i < n; i++) {
        terms_of(&runs[i], terms);
        double told = ret_terms[0] * terms[0] + ret_terms[1] * terms[1] + ret_terms[2] * terms[2], off = (told - runs[i].local_s) / fmax(runs[i].local_s, SECONDS_LEAST);
        error += off * off;
    }
    *ret_error = error;
    return true;
}

// The best of those with at most `most` terms; of equals the first: what grows with the bytes is the safer guess.
static void fit_local(const struct estimate_run *runs, size_t n, struct estimate_model *m)
{
    int most = n < 4 ? 1 : n < 8 ? 2 : TERMS;
    double scale[TERMS] = { 1, 1, 1 }, terms[TERMS], best = INFINITY, error;
    for (size_t i = 0; i < n; i++) {
        scale[0] = fmax(scale[0], (double)runs[i].bytes);
        scale[2] = fmax(scale[2], (double)runs[i].files);
    }
    for (unsigned subset = 1; subset < SUBSETS; subset++) {
        if (__builtin_popcount(subset) > most || !fit_subset(runs, n, subset, scale, terms, &error) || error >= best * (1 - 1e-9))
            continue;
        best = error;
        m->per_byte_s = terms[0];
        m->fixed_s = terms[1];
        m->per_file_s = terms[2];
    }
}

static void fit_lines(const struct estimate_run *runs, size_t n, struct estimate_model *m)
{
    double bytes[2] = { 0 }, seconds[2] = { 0 }, restored = 0;
    for (size_t i = 0; i < n; i++) {
        bytes[runs[i].is_offsite] += (double)runs[i].fetched_bytes;
        seconds[runs[i].is_offsite] += runs[i].fetch_s;
        restored += (double)runs[i].bytes;
        m->most_files = runs[i].files > m->most_files ? runs[i].files : m->most_files;
        m->most_bytes = runs[i].bytes > m->most_bytes ? runs[i].bytes : m->most_bytes;
        m->checks_s = runs[i].checks_s > 0 ? runs[i].checks_s : m->checks_s;
    }
    m->home_rate = bytes[0] > 0 ? bytes[0] / fmax(seconds[0], SECONDS_LEAST) : 0;
    m->offsite_rate = bytes[1] > 0 ? bytes[1] / fmax(seconds[1], SECONDS_LEAST) : 0;
    m->fetched_share = restored > 0 ? (bytes[0] + bytes[1]) / restored : 1;
}

static void fit(const struct estimate_run *runs, size_t n, struct estimate_model *ret_model)
{
    *ret_model = (struct estimate_model){ .runs = n };
    if (n == 0)
        return;
    fit_local(runs, n, ret_model);
    fit_lines(runs, n, ret_model);
}

// ---- its own error

void estimate_foretell(const struct estimate_run *runs, size_t k, double *ret_told_s, double *ret_took_s)
{
    struct estimate_model earlier;
    struct estimate told;
    fit(runs, k, &earlier);
    estimate_answer(&earlier, &(struct estimate_question){ .files = runs[k].files, .bytes = runs[k].bytes, .is_offsite = runs[k].is_offsite }, &told);
    *ret_told_s = told.likely_s;
    *ret_took_s = fmax(runs[k].local_s + runs[k].fetch_s + runs[k].checks_s, SECONDS_LEAST);
}

static double error_of(const struct estimate_run *runs, size_t k)
{
    double told, took;
    estimate_foretell(runs, k, &told, &took);
    return fabs(told - took) / took;
}

void estimate_fit(const struct estimate_run *runs, size_t n, struct estimate_model *ret_model)
{
    fit(runs, n, ret_model);
    if (n <= ESTIMATE_LEARN)
        return;
    size_t tested = n - ESTIMATE_LEARN;
    double *errors = xcalloc(tested, sizeof *errors);
    for (size_t k = ESTIMATE_LEARN; k < n; k++)
        errors[k - ESTIMATE_LEARN] = error_of(runs, k);
    qsort(errors, tested, sizeof *errors, compare_doubles);
    ret_model->tested = tested;
    ret_model->median_error = errors[tested / 2];
    ret_model->worst_error = errors[tested - 1];
    free(errors);
}

// ---- answers

// A line that is said to be slower than what was measured is; a faster one does not make the far side faster.
static double rate_of(const struct estimate_model *m, const struct estimate_question *q)
{
    double measured = q->is_offsite ? m->offsite_rate : m->home_rate;
    double rate = q->line_rate <= 0 ? measured : measured <= 0 ? q->line_rate : fmin(measured, q->line_rate);
    return rate / (q->parallel == 0 ? 1 : q->parallel);
}

void estimate_answer(const struct estimate_model *m, const struct estimate_question *q, struct estimate *ret_estimate)
{
    struct estimate e = { 0 };
    double times = q->restores == 0 ? 1 : q->restores, rate = rate_of(m, q), off = m->tested == 0 ? ERROR_UNTESTED : fmax(m->worst_error, ERROR_LEAST);
    e.is_beyond = q->files / 2 > m->most_files || q->bytes / 2 > m->most_bytes;
    off = e.is_beyond ? fmax(off, ERROR_UNTESTED) : off;
    e.line_is_known = rate > 0;
    e.part_s[ESTIMATE_PEOPLE] = q->people_s;
    e.part_s[ESTIMATE_START] = m->fixed_s * times;
    e.part_s[ESTIMATE_FILES] = m->per_file_s * (double)q->files * times;
    e.part_s[ESTIMATE_BYTES] = m->per_byte_s * (double)q->bytes * times;
    e.part_s[ESTIMATE_LINE] = e.line_is_known ? (double)q->bytes * m->fetched_share / rate * times : 0;
    e.part_s[ESTIMATE_CHECKS] = m->checks_s * times;
    for (int i = 0; i < ESTIMATE_PARTS; i++) {
        e.likely_s += e.part_s[i];
        if (e.part_s[i] > e.part_s[e.bottleneck])
            e.bottleneck = (enum estimate_part)i;
    }
    double measured_s = e.likely_s - q->people_s; // what people take was said, not measured
    e.low_s = q->people_s + measured_s / (1 + off);
    e.high_s = q->people_s + measured_s * (1 + off);
    *ret_estimate = e;
}
