// How long a recovery would take, from own measured restores: a small model, fitted by least squares, and how wrong it was each time it could be tested. Pure.
//
// A restore takes  fixed + files * per_file + bytes * per_byte  on this machine, and fetched bytes / line rate, and what the checks take. Coefficients are not
// negative, and there are only as many as the runs can tell apart: one with fewer than four runs, two with fewer than eight. Errors are relative, so each run
// weighs the same. The model's own error is that of forecasts: each run is foretold from those before it (ESTIMATE_LEARN of them at least).
#ifndef BKD_DR_ESTIMATE_H
#define BKD_DR_ESTIMATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ESTIMATE_LEARN = 3 };

// A restore that was measured. Times in seconds.
struct estimate_run {
    uint64_t time_ns; // wall clock, when it began
    uint64_t files, bytes, fetched_bytes;
    bool is_offsite;
    double local_s, fetch_s, checks_s; // they add up to the whole
};

struct estimate_model {
    size_t runs;
    uint64_t most_files, most_bytes; // of one run
    double fixed_s, per_file_s, per_byte_s;
    double home_rate, offsite_rate; // bytes a second that came in; 0 = was not measured
    double fetched_share;           // stored bytes fetched for each byte restored
    double checks_s;                // of the newest run that had any
    size_t tested;                  // runs that were foretold
    double median_error, worst_error; // relative; undefined when nothing was tested
};

// runs: in the order they were made. Without any the model knows nothing (runs 0).
void estimate_fit(const struct estimate_run *runs, size_t n, struct estimate_model *ret_model);

// What would have been said of run k (ESTIMATE_LEARN at least) by those before it, and what it took.
void estimate_foretell(const struct estimate_run *runs, size_t k, double *ret_told_s, double *ret_took_s);

struct estimate_question {
    uint64_t files, bytes;
    bool is_offsite;
    double line_rate;    // bytes a second; 0 = as measured
    unsigned parallel;   // restores that share the line; 0 = 1
    unsigned restores;   // one after the other; 0 = 1
    double people_s;     // until somebody begins
};

enum estimate_part { ESTIMATE_PEOPLE, ESTIMATE_START, ESTIMATE_FILES, ESTIMATE_BYTES, ESTIMATE_LINE, ESTIMATE_CHECKS, ESTIMATE_PARTS };
const char *estimate_part_name(enum estimate_part part);
// What makes that part shorter, one sentence.
const char *estimate_part_help(enum estimate_part part);

struct estimate {
    double part_s[ESTIMATE_PARTS];
    double likely_s, low_s, high_s; // the interval: as wrong as the worst forecast, at least a tenth; a factor of two when nothing was tested, or not at such a size
    enum estimate_part bottleneck;
    bool is_beyond;                 // more than twice as large as any run
    bool line_is_known;             // measured, or said; else nothing is counted for it
};

// The model must know something.
void estimate_answer(const struct estimate_model *model, const struct estimate_question *question, struct estimate *ret_estimate);

#endif
