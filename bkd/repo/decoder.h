// Decoding in processes without rights. One helper process, forked before threads start, forks a decoder for each thread that needs one at the
// same time; each is confined (bkd/base/sandbox.h) and has nothing but the identities, a socket for jobs and memory shared with this process.
// What it answers is untrusted here: sizes are bounded, and content is for the caller to compare with what was signed.
//
// decoders_new → (decoders_take → fill decoder->in → decoder_run → use decoder->out → decoders_give) … → decoders_free.
// take and give are safe for several threads; a decoder belongs to one thread at a time.
#ifndef BKD_REPO_DECODER_H
#define BKD_REPO_DECODER_H

#include <stddef.h>
#include <stdint.h>

#include "bkd/base/error.h"
#include "bkd/base/sandbox.h"
#include "bkd/repo/decode.h"

// A decoder that takes longer for a MiB of output is ended; the machine may be slow, a frame takes milliseconds.
#define DECODER_SECONDS_PER_MIB 10u

struct decoders;
struct decoder {
    uint8_t *in, *out; // DECODE_IN_SIZE and DECODE_OUT_SIZE bytes. The other side may change them at any time: copy first, then judge.
};

struct decoders_rules {
    unsigned seconds_per_mib; // 0 = DECODER_SECONDS_PER_MIB
    unsigned most;            // at work at once: whoever asks for one more waits; 0 = no limit
};

// Forks the helper: call it before threads start. Identities reach the processes as memory, never through a file or an argument.
MUST_USE int decoders_new(const struct age_identity *identities, size_t n_identities, const struct decoders_rules *rules,
                          struct decoders **ret_decoders, struct error *err);
// Ends all of them.
void decoders_free(struct decoders *pool);
// What confines them.
struct sandbox_state decoders_confinement(const struct decoders *pool);

MUST_USE int decoders_take(struct decoders *pool, struct decoder **ret_decoder, struct error *err);
void decoders_give(struct decoders *pool, struct decoder *d);
// Sends a job and waits. The job's own failure is returned as its error; a decoder that crashed, was stopped by the kernel or took too long is
// ERROR_INTEGRITY and is replaced by the next take. ret_reply->size is at most DECODE_OUT_SIZE.
MUST_USE int decoder_run(struct decoders *pool, struct decoder *d, const struct decode_job *job, struct decode_reply *ret_reply,
                         struct error *err);

#endif
