
/*
 * The table of states (DESIGN 4).  The module asks it for every request with a
 * token; the worker and the tools use the names.  Pure: what is known comes in,
 * the clock too.
 */


#include "exam_state.h"

#include <string.h>


static const char *const  exam_state_names[] = {
    "unknown", "draft", "open", "closed", "archived"
};

static const char *const  exam_ended_names[] = {
    "", "logout", "replaced", "forced", "exam_over"
};

#define exam_names(t)       (sizeof(t) / sizeof((t)[0]))


int64_t
exam_state_own_end(const exam_view_t *v, int64_t now)
{
    if (v->own_end == 0) {
        return 0;
    }

    if (v->paused_at != 0 && now > v->paused_at) {
        return v->own_end + (now - v->paused_at);
    }

    return v->own_end;
}


int64_t
exam_state_deadline(const exam_view_t *v, int64_t now)
{
    int64_t  end;

    end = exam_state_own_end(v, now);

    return end == 0 ? 0 : end + v->late_ms;
}


exam_status_t
exam_state_status(const exam_view_t *v, int64_t now)
{
    int64_t        end;
    exam_status_t  status;

    end = exam_state_own_end(v, now);

    status.locked = (v->flags & (EXAM_FLAG_LOCKED | EXAM_FLAG_SUSPENDED)) != 0;
    status.paused = v->paused_at != 0 || (v->flags & EXAM_FLAG_PAUSED) != 0;
    status.closed = v->state == EXAM_STATE_CLOSED
                    || v->state == EXAM_STATE_ARCHIVED
                    || (v->flags & EXAM_FLAG_FINISH) != 0
                    || (end != 0 && now >= end);

    return status;
}


exam_err_e
exam_state_check(const exam_view_t *v, exam_action_e action, int64_t now)
{
    bool     over;
    int64_t  deadline;

    /* a draft has no sessions: whoever holds a token is too early */

    if (v->state == EXAM_STATE_DRAFT) {
        return EXAM_ERR_EXAM_NOT_OPEN;
    }

    deadline = exam_state_deadline(v, now);
    over = v->state == EXAM_STATE_ARCHIVED
           || (deadline != 0 && now >= deadline);

    switch (action) {

    case EXAM_ACTION_UPLOAD:
        return over ? EXAM_ERR_UPLOAD_CLOSED : EXAM_OK;

    case EXAM_ACTION_LOOK:
        return over ? EXAM_ERR_EXAM_OVER : EXAM_OK;

    case EXAM_ACTION_HEARTBEAT:
        if (over || v->ended == EXAM_ENDED_EXAM_OVER) {
            return EXAM_ERR_EXAM_OVER;
        }

        break;

    case EXAM_ACTION_LOGOUT:
        if (v->state == EXAM_STATE_ARCHIVED
            || (over && v->ended == EXAM_ENDED_NO))
        {
            return EXAM_ERR_EXAM_OVER;
        }

        break;
    }

    return v->ended == EXAM_ENDED_NO ? EXAM_OK : EXAM_ERR_SESSION_ENDED;
}


const char *
exam_state_name(exam_state_e state)
{
    return (unsigned) state < exam_names(exam_state_names)
           ? exam_state_names[state] : exam_state_names[EXAM_STATE_UNKNOWN];
}


exam_state_e
exam_state_parse(const char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < exam_names(exam_state_names); i++) {
        if (strlen(exam_state_names[i]) == len
            && memcmp(exam_state_names[i], p, len) == 0)
        {
            return (exam_state_e) i;
        }
    }

    return EXAM_STATE_UNKNOWN;
}


const char *
exam_ended_name(exam_ended_e ended)
{
    return (unsigned) ended < exam_names(exam_ended_names)
           ? exam_ended_names[ended] : exam_ended_names[EXAM_ENDED_FORCED];
}


exam_ended_e
exam_ended_parse(const char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < exam_names(exam_ended_names); i++) {
        if (strlen(exam_ended_names[i]) == len
            && (len == 0 || memcmp(exam_ended_names[i], p, len) == 0))
        {
            return (exam_ended_e) i;
        }
    }

    return EXAM_ENDED_FORCED;
}
