// How long the rest of a phase takes, from what was measured in it so far. Pure.
//
// The model is time = files × a + bytes × b: a million small files and one large file of the same size take very different times. a and b are
// fitted by least squares to samples whose weight halves every ESTIMATE_HALF_LIFE_S, so that the last seconds count and not the average since
// the start; then both are scaled so that the model gives exactly the time that the samples took (samples come in bursts, which least squares
// alone would take for speed). Where all samples have the same mix, a and b cannot be told apart: then a file is taken to cost
// as much as ESTIMATE_FILE_BYTES bytes.
#ifndef BKD_BASE_ESTIMATE_H
#define BKD_BASE_ESTIMATE_H

#include <stdbool.h>

#define ESTIMATE_HALF_LIFE_S 10.0
#define ESTIMATE_FILE_BYTES 16384.0

// Weighted sums over the samples; all zero = nothing measured yet.
struct estimate {
    double files, bytes, seconds;
    double files_files, files_bytes, bytes_bytes, files_seconds, bytes_seconds;
};

// So many files and bytes took so many seconds.
void estimate_add(struct estimate *e, double files, double bytes, double seconds);

// The two costs; false when nothing was measured.
bool estimate_costs(const struct estimate *e, double *ret_seconds_per_file, double *ret_seconds_per_byte);
// What so many more files and bytes will take; false when that cannot be told.
bool estimate_seconds(const struct estimate *e, double files, double bytes, double *ret_seconds);

#endif
