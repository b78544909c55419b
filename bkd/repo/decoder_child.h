// The other side of decoder.h: the helper process and the decoders it forks. Not for anybody else.
#ifndef BKD_REPO_DECODER_CHILD_H
#define BKD_REPO_DECODER_CHILD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bkd/base/sandbox.h"
#include "bkd/repo/decode.h"

#define DECODER_SHARED_SIZE ((size_t)DECODE_IN_SIZE + DECODE_OUT_SIZE) // input area, then output area

// To the helper. FORK carries two descriptors: the decoder's end of a socket pair and its shared memory.
enum decoder_order { DECODER_FORK = 1, DECODER_END };
struct decoder_request {
    uint32_t order;
    int32_t pid; // END
};
// From it: first one of its own accord, with `state`; then one for each request.
struct decoder_answer {
    struct sandbox_state state;
    int32_t pid;    // FORK; below 0: -errno
    int32_t status; // END: as from waitpid
};

// Runs in the forked helper and never returns.
_Noreturn void decoder_child_main(int socket, const struct age_identity *identities, size_t n_identities);

#endif
