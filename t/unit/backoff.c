
/* exam_backoff: growth, cap, and where the jitter ends */


#include "tap.h"

#include "exam_backoff.h"


int
main(void)
{
    int             i;
    bool            inside;
    uint32_t        wait;
    exam_backoff_t  b;

    static const uint32_t  low[] = { 50, 100, 200, 400, 500, 500 };
    static const uint32_t  high[] = { 100, 200, 400, 800, 1000, 1000 };

    b.tries = 77;
    exam_backoff_init(&b, 100, 1000);

    for (i = 0; i < 6; i++) {
        tap_is(exam_backoff_next(&b, 0), low[i], "the smallest wait");
    }

    exam_backoff_reset(&b);

    for (i = 0; i < 6; i++) {
        tap_is(exam_backoff_next(&b, UINT32_MAX), high[i],
               "the longest wait");
    }

    inside = true;

    for (i = 0; i < 1000; i++) {
        wait = exam_backoff_next(&b, tap_random());
        inside = inside && wait >= 500 && wait <= 1000;
    }

    tap_ok(inside, "a thousand failures later it is inside");
    tap_is(b.tries, 1006, "and all are counted");

    b.tries = UINT32_MAX;
    tap_is(exam_backoff_next(&b, 0), 500, "the counter stays at its end");
    tap_is(b.tries, UINT32_MAX, "and does not begin again");

    exam_backoff_reset(&b);
    tap_is(exam_backoff_next(&b, 0), 50, "a success starts anew");

    exam_backoff_init(&b, 1, UINT32_MAX);
    b.tries = 40;
    tap_is(exam_backoff_next(&b, UINT32_MAX), UINT32_MAX, "the largest max");

    exam_backoff_init(&b, 7, 3);
    tap_is(exam_backoff_next(&b, UINT32_MAX), 7, "a max below min is min");

    exam_backoff_init(&b, 0, 0);
    tap_is(exam_backoff_next(&b, 5), 0, "no wait at all");

    return tap_done();
}
