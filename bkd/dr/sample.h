// Which files of a snapshot a micro-verification restores: some drawn at random, uniformly over all files, and besides them the newest, the largest and the
// canaries. Only the random ones count for what is claimed of the rest.
#ifndef BKD_DR_SAMPLE_H
#define BKD_DR_SAMPLE_H

#include "bkd/base/io.h"
#include "bkd/policy/policy.h"
#include "bkd/repo/manifest.h"

enum { SAMPLE_MAX = 2000 }; // files drawn: their names go on a command line

struct sample {
    char **paths; // sorted, without doubles; owned
    size_t n;
    uint64_t drawn; // of these by chance, so that they speak for the rest
    uint64_t files; // in the snapshot
};

// Reads the manifest once. `wanted`: how many to draw (at most SAMPLE_MAX); max_bytes: drawn files that would go beyond it in sum are left (0 = no limit);
// what is drawn after the first such file does not count as drawn any more, since without the big ones it speaks for the small ones only.
// Streams are files, too. `canaries`: those the snapshot does not have are an ERROR_NOT_FOUND.
MUST_USE int sample_draw(const struct io *io, struct manifest_reader *reader, uint64_t wanted, uint64_t max_bytes, const struct policy_list *canaries,
                         struct sample *ret_sample, struct error *err);
void sample_done(struct sample *s);
#define _cleanup_sample_ __attribute__((cleanup(sample_done)))

#endif
