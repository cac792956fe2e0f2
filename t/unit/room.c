
/* exam_room: the mark and its distance, the forecast from samples */


#include "tap.h"

#include "exam_room.h"


#define MB  INT64_C(1048576)


int
main(void)
{
    int          i;
    exam_room_t  room;

    memset(&room, 0, sizeof(room));

    tap_is(exam_room_left(&room, 0), -1, "without a sample nobody knows");

    exam_room_add(&room, 0, 1000 * MB);
    tap_is(exam_room_left(&room, 0), -1, "nor with one");

    exam_room_add(&room, 4999, 1);
    tap_is((int64_t) room.n, 1, "a sample too early is not kept");

    exam_room_add(&room, 10000, 900 * MB);
    tap_is(exam_room_left(&room, 0), 90000, "ten MB a second, 900 are left");
    tap_is(exam_room_left(&room, 400 * MB), 50000, "or 500 above the mark");
    tap_is(exam_room_left(&room, 900 * MB), 0, "at the mark it is now");
    tap_is(exam_room_left(&room, 950 * MB), 0, "and below it");

    exam_room_add(&room, 20000, 1000 * MB);
    tap_is(exam_room_left(&room, 0), -1, "as much as at first: does not fill");

    exam_room_add(&room, 30000, 1100 * MB);
    tap_is(exam_room_left(&room, 0), -1, "more than at first: likewise");

    /* the ring forgets: it fills lately, though not since the beginning */

    for (i = 0; i < EXAM_ROOM_SAMPLES; i++) {
        exam_room_add(&room, 40000 + i * 5000, (1000 - i) * MB);
    }

    tap_is((int64_t) room.n, EXAM_ROOM_SAMPLES, "the number is bounded");
    tap_is(exam_room_left(&room, 0), (1000 - 59) * 5000,
           "only the latest samples count");

    memset(&room, 0, sizeof(room));
    exam_room_add(&room, 0, INT64_MAX);
    exam_room_add(&room, INT64_MAX / 2, INT64_MAX - 1);
    tap_is(exam_room_left(&room, 0), -1, "more than time can tell");

    tap_ok(!exam_room_low(false, 100, 100), "the mark itself is enough");
    tap_ok(exam_room_low(false, 99, 100), "less is not");
    tap_ok(exam_room_low(true, 111, 100), "once low, it takes more");
    tap_ok(!exam_room_low(true, 112, 100), "an eighth above the mark");
    tap_ok(!exam_room_low(true, 0, 0), "no mark, never low");

    return tap_done();
}
