// Whatever a client of the control socket sends: a request is refused with a reason, or is one that reads the same when it is written again.
#include <assert.h>
#include <string.h>

#include "bkd/daemon/control_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control_request request, again;
    struct error err = { 0 };
    _cleanup_buf_ struct buf text = { 0 };
    if (control_request_parse(data, size, &request, &err) < 0) {
        assert(err.text[0] != '\0');
        return 0;
    }
    assert(request.policy[0] == '\0' || policy_is_name(request.policy, strlen(request.policy)));
    control_request_format(&request, &text);
    int r = control_request_parse(text.data, text.len - 1, &again, &err);
    assert(r == 0 && again.verb == request.verb && again.run == request.run && again.wait == request.wait);
    assert(strcmp(again.policy, request.policy) == 0 && strcmp(again.action, request.action) == 0);
    return 0;
}
