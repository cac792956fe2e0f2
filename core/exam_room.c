
/*
 * Watermark and forecast; see the header.
 */


#include "exam_room.h"


void
exam_room_add(exam_room_t *room, int64_t now, int64_t free)
{
    uint32_t  last;

    last = (room->next + EXAM_ROOM_SAMPLES - 1) % EXAM_ROOM_SAMPLES;

    if (room->n > 0 && now - room->samples[last].at < EXAM_ROOM_INTERVAL_MS) {
        return;
    }

    room->samples[room->next].at = now;
    room->samples[room->next].free = free;

    room->next = (room->next + 1) % EXAM_ROOM_SAMPLES;

    if (room->n < EXAM_ROOM_SAMPLES) {
        room->n++;
    }
}


int64_t
exam_room_left(const exam_room_t *room, int64_t low)
{
    double                     left;
    int64_t                    gone;
    uint32_t                   first, last;
    const exam_room_sample_t  *from, *to;

    if (room->n < 2) {
        return -1;
    }

    last = (room->next + EXAM_ROOM_SAMPLES - 1) % EXAM_ROOM_SAMPLES;
    first = (room->next + EXAM_ROOM_SAMPLES - room->n) % EXAM_ROOM_SAMPLES;

    from = &room->samples[first];
    to = &room->samples[last];

    if (to->free <= low) {
        return 0;
    }

    gone = from->free - to->free;

    if (gone <= 0) {
        return -1;
    }

    /* a double: bytes times milliseconds do not fit 64 bits */

    left = (double) (to->free - low) * (double) (to->at - from->at)
           / (double) gone;

    return (left < (double) INT64_MAX / 2) ? (int64_t) left : -1;
}


bool
exam_room_low(bool was, int64_t free, int64_t low)
{
    return free < (was ? low + low / 8 : low);
}
