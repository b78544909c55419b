#include "bkd/record/watch_state.h"

#include "bkd/base/buf.h"

const char *watch_state_name(enum watch_state state)
{
    static const char *const names[] = { "PROTECTED", "AT RISK", "NOT PROTECTED" };
    return names[state];
}

static char *mark_of(const char *policy) { return xasprintf("state.%s", policy); }

int watch_state_noted(struct catalogue *c, const char *policy, bool *ret_known, enum watch_state *ret_state, struct error *err)
{
    _cleanup_free_ char *mark = mark_of(policy);
    int64_t value = 0; // one more than the state, as 0 is a mark that was never set
    int r = catalogue_mark(c, mark, &value, err);
    if (r < 0)
        return r;
    *ret_known = value > WATCH_PROTECTED && value <= WATCH_NOT_PROTECTED + 1;
    if (*ret_known)
        *ret_state = (enum watch_state)(value - 1);
    return 0;
}

int watch_state_note(struct catalogue *c, const char *policy, enum watch_state state, struct error *err)
{
    _cleanup_free_ char *mark = mark_of(policy);
    enum watch_state before;
    bool known = false;
    int r = watch_state_noted(c, policy, &known, &before, err);
    return r < 0 || (known && before == state) ? r : catalogue_set_mark(c, mark, (int64_t)state + 1, err);
}
