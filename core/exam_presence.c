
/*
 * The clock of a client, and gaps between its heartbeats; see the header.
 */


#include "exam_presence.h"


#define EXAM_OFFSET_FAR  INT16_MAX      /* a way so long never counts */


static void exam_offset_begin(exam_offset_t *o, int64_t offset);


void
exam_offset_add(exam_offset_t *o, int64_t now, int64_t client_time)
{
    unsigned  i;
    int64_t   late, offset;

    offset = now - client_time;
    late = offset - o->base;

    /* the first one, or a clock that was set */

    if (o->n == 0 || late < INT16_MIN) {
        exam_offset_begin(o, offset);
        return;
    }

    if (late > EXAM_OFFSET_FAR) {
        late = EXAM_OFFSET_FAR;
    }

    if (o->n < EXAM_OFFSET_BEATS) {
        o->late[o->n++] = (int16_t) late;

    } else {
        o->late[o->at] = (int16_t) late;
        o->at = (uint8_t) ((o->at + 1) % EXAM_OFFSET_BEATS);
    }

    /* all far behind: the clock was set back */

    for (i = 0; i < o->n; i++) {
        if (o->late[i] != EXAM_OFFSET_FAR) {
            return;
        }
    }

    exam_offset_begin(o, offset);
}


static void
exam_offset_begin(exam_offset_t *o, int64_t offset)
{
    o->base = offset;
    o->late[0] = 0;
    o->n = 1;
    o->at = 0;
}


bool
exam_offset_get(const exam_offset_t *o, int64_t *offset_ms)
{
    int16_t   least;
    unsigned  i;

    if (o->n == 0) {
        return false;
    }

    least = o->late[0];

    for (i = 1; i < o->n; i++) {
        if (o->late[i] < least) {
            least = o->late[i];
        }
    }

    *offset_ms = o->base + least;

    return true;
}


int64_t
exam_gap_limit(int64_t interval_ms)
{
    return interval_ms + interval_ms / 2;
}


uint32_t
exam_gap_missed(const int64_t *times, size_t n, int64_t offset_ms,
    int64_t from, int64_t to)
{
    size_t    i;
    int64_t   at;
    uint32_t  missed;

    missed = 0;

    for (i = 0; i < n; i++) {

        /* both are at most 2^53: no overflow */

        at = times[i] + offset_ms;

        if (at >= from && at <= to && at > to - EXAM_MISSED_AGE_MS) {
            missed++;
        }
    }

    return missed;
}


exam_cause_e
exam_gap_cause(int64_t from, int64_t to, int64_t born, uint32_t missed)
{
    if (born > from && born <= to) {
        return EXAM_CAUSE_NODE;
    }

    return missed != 0 ? EXAM_CAUSE_CANDIDATE : EXAM_CAUSE_CLIENT;
}
