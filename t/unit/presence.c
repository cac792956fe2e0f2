
/*
 * exam_presence: the client's clock from the last five heartbeats, compared
 * with the plain way of telling it, and gaps with their causes
 */


#include "tap.h"

#include "exam_presence.h"


#define NOW  1763660000000


static void clocks(void);
static void against_plain(void);
static void gaps(void);
static int64_t told(const exam_offset_t *o);


int
main(void)
{
    clocks();
    against_plain();
    gaps();

    return tap_done();
}


static int64_t
told(const exam_offset_t *o)
{
    int64_t  offset;

    return exam_offset_get(o, &offset) ? offset : INT64_MIN;
}


static void
clocks(void)
{
    int            i;
    exam_offset_t  o;

    static const int  ways[] = { 100, 300, 200, 400, 500, 600 };
    static const int  least[] = { 100, 100, 100, 100, 100, 200 };

    memset(&o, 0, sizeof(o));

    tap_is(told(&o), INT64_MIN, "nothing is known at first");

    for (i = 0; i < 6; i++) {
        exam_offset_add(&o, NOW + ways[i], NOW);
        tap_is(told(&o), least[i], "the shortest way of the last five");
    }

    memset(&o, 0, sizeof(o));
    exam_offset_add(&o, NOW, 0);
    tap_is(told(&o), NOW, "a clock that was never set");

    exam_offset_add(&o, NOW + 30000, NOW + 30000 - 50);
    tap_is(told(&o), 50, "and then it is");

    for (i = 0; i < 4; i++) {
        exam_offset_add(&o, NOW + 60000, 50);
        tap_is(told(&o), 50, "set back: the old one stands for a while");
    }

    exam_offset_add(&o, NOW + 90000, 50);
    tap_is(told(&o), NOW + 90000 - 50, "and is forgotten after five");

    memset(&o, 0, sizeof(o));
    exam_offset_add(&o, NOW, 9007199254740991);
    tap_is(told(&o), NOW - 9007199254740991, "the greatest time there is");
}


/* offsets that stay within what the ring holds are told exactly */

static void
against_plain(void)
{
    int            i, k, wrong;
    int64_t        all[2000], least;
    exam_offset_t  o;

    memset(&o, 0, sizeof(o));
    wrong = 0;

    for (i = 0; i < 2000; i++) {
        all[i] = -7000 + (int64_t) (tap_random() % 14000);
        exam_offset_add(&o, NOW + all[i], NOW);

        least = all[i];

        for (k = 1; k < EXAM_OFFSET_BEATS && k <= i; k++) {
            least = all[i - k] < least ? all[i - k] : least;
        }

        wrong += told(&o) != least;
    }

    tap_is(wrong, 0, "2,000 random ways, each as the plain way tells it");
}


static void
gaps(void)
{
    int64_t  times[] = { 1000, 2000, 3000, 90000000 };

    tap_is(exam_gap_limit(30000), 45000, "one and a half intervals");

    tap_is(exam_gap_missed(times, 4, 0, 1000, 3000), 3, "the ends count");
    tap_is(exam_gap_missed(times, 4, 0, 1001, 2999), 1, "inside only");
    tap_is(exam_gap_missed(times, 4, 500, 2400, 3600), 2,
           "of the client's clock");
    tap_is(exam_gap_missed(times, 4, 0, 0, 90000000), 1,
           "not older than a day");
    tap_is(exam_gap_missed(NULL, 0, 0, 0, 1), 0, "none");

    tap_is(exam_gap_cause(10, 20, 5, 0), EXAM_CAUSE_CLIENT, "silence");
    tap_is(exam_gap_cause(10, 20, 5, 1), EXAM_CAUSE_CANDIDATE, "attempts");
    tap_is(exam_gap_cause(10, 20, 15, 1), EXAM_CAUSE_NODE,
           "the node was born in it");
    tap_is(exam_gap_cause(10, 20, 10, 1), EXAM_CAUSE_CANDIDATE,
           "born at its begin");
    tap_is(exam_gap_cause(10, 20, 21, 0), EXAM_CAUSE_CLIENT, "born later");
}
