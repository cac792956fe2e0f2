
/*
 * Exponential back-off with full jitter between half and whole.  The random
 * number is passed in: pure, and a test can fix it.
 */


#ifndef EXAM_BACKOFF_H_INCLUDED
#define EXAM_BACKOFF_H_INCLUDED


#include <stdint.h>


typedef struct {
    uint32_t  min_ms;
    uint32_t  max_ms;
    uint32_t  tries;                /* failures since the last success */
} exam_backoff_t;


void exam_backoff_init(exam_backoff_t *b, uint32_t min_ms, uint32_t max_ms);

/* the wait before the next try, ms; counts the failure */

uint32_t exam_backoff_next(exam_backoff_t *b, uint32_t random);

void exam_backoff_reset(exam_backoff_t *b);


#endif /* EXAM_BACKOFF_H_INCLUDED */
