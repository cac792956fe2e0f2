
/*
 * Exponential back-off: the interval doubles from min to max, the wait is drawn
 * from its upper half, so that clients of one dead server do not return all at
 * once.  The caller's structure, no clock, no random source of its own.
 */


#include "exam_backoff.h"


void
exam_backoff_init(exam_backoff_t *b, uint32_t min_ms, uint32_t max_ms)
{
    b->min_ms = min_ms;
    b->max_ms = max_ms > min_ms ? max_ms : min_ms;
    b->tries = 0;
}


uint32_t
exam_backoff_next(exam_backoff_t *b, uint32_t random)
{
    uint32_t  half;
    uint64_t  interval;

    /* min_ms has 32 bits: a shift by 32 never leaves 64, and is over any max */

    interval = (uint64_t) b->min_ms << (b->tries < 32 ? b->tries : 32);

    if (interval > b->max_ms) {
        interval = b->max_ms;
    }

    if (b->tries != UINT32_MAX) {
        b->tries++;
    }

    half = (uint32_t) (interval / 2);

    return (uint32_t) interval - half
           + (uint32_t) ((uint64_t) random * ((uint64_t) half + 1) >> 32);
}


void
exam_backoff_reset(exam_backoff_t *b)
{
    b->tries = 0;
}
