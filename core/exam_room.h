
/*
 * Room on a disk that fills: when to stop, and when that will be (DESIGN 8,
 * "disk watermarks").  Pure: memory of the caller's, any thread.
 */


#ifndef EXAM_ROOM_H_INCLUDED
#define EXAM_ROOM_H_INCLUDED


#include <stdbool.h>
#include <stdint.h>


#define EXAM_ROOM_INTERVAL_MS  5000     /* between two samples */
#define EXAM_ROOM_SAMPLES      60       /* of five minutes */


typedef struct {
    int64_t  at;                    /* monotonic ms */
    int64_t  free;                  /* bytes */
} exam_room_sample_t;


/* zeroed memory is a valid start */

typedef struct {
    uint32_t            n;          /* samples known */
    uint32_t            next;       /* the place of the next one */
    exam_room_sample_t  samples[EXAM_ROOM_SAMPLES];
} exam_room_t;


/* free bytes at `now`; more often than once an interval is no harm */

void exam_room_add(exam_room_t *room, int64_t now, int64_t free);

/*
 * ms from the last sample on until `low` bytes are free, at the mean speed of
 * the samples; 0: that is so now; -1: it does not fill, or nobody knows yet.
 */

int64_t exam_room_left(const exam_room_t *room, int64_t low);

/*
 * Is there too little?  What was refused once is let in again only an eighth
 * above the mark, so that a disk at the mark does not flutter.
 */

bool exam_room_low(bool was, int64_t free, int64_t low);


#endif /* EXAM_ROOM_H_INCLUDED */
