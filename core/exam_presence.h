
/*
 * What heartbeats tell of a candidate's clock and of the times he was not heard
 * (DESIGN 4, "Clocks").  Pure: memory of the caller's, any thread.
 */


#ifndef EXAM_PRESENCE_H_INCLUDED
#define EXAM_PRESENCE_H_INCLUDED


#include "exam_journal.h"


#define EXAM_OFFSET_BEATS    5          /* heartbeats that are compared */
#define EXAM_MISSED_AGE_MS   86400000   /* older entries of `missed`: ignored */


/*
 * How far the client's clock is behind ours, from the last heartbeats.  A
 * request that was long on its way makes a clock look late, none makes it look
 * early: so the smallest difference comes from the shortest way.  Zeroed memory
 * is a valid start.
 */

typedef struct {
    int64_t   base;                 /* ms */
    int16_t   late[EXAM_OFFSET_BEATS];      /* ms over base */
    uint8_t   n;                    /* of them known */
    uint8_t   at;                   /* the oldest, when all are known */
    uint16_t  told;                 /* the caller's own */
    uint16_t  gap_ds;               /* likewise */
} exam_offset_t;


/* a heartbeat that said client_time came at now, both Unix ms */

void exam_offset_add(exam_offset_t *o, int64_t now, int64_t client_time);

/* ms to be added to a time of the client's; false: not known */

bool exam_offset_get(const exam_offset_t *o, int64_t *offset_ms);


/* more than this between two beats is a gap: one and a half intervals, ms */

int64_t exam_gap_limit(int64_t interval_ms);

/*
 * How many of the client's attempts lie between two beats; their times are of
 * his clock.  offset_ms: of the heartbeat that lists them.
 */

uint32_t exam_gap_missed(const int64_t *times, size_t n, int64_t offset_ms,
    int64_t from, int64_t to);

/*
 * Whose side a gap is on.  born: when this node's memory begins, ms; missed:
 * of exam_gap_missed().
 */

exam_cause_e exam_gap_cause(int64_t from, int64_t to, int64_t born,
    uint32_t missed);


#endif /* EXAM_PRESENCE_H_INCLUDED */
