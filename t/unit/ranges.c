
/*
 * exam_ranges: cases at the borders by hand, and thousands of random steps
 * against a plain bitmap.
 */


#include "tap.h"

#include "exam_ranges.h"


#define MAX   8
#define BITS  64


static void set(exam_ranges_t *s, exam_range_t *m, const char *text);
static void is(const exam_ranges_t *s, const char *want, const char *name);
static void test_add(void);
static void test_full(void);
static void test_missing(void);
static void test_edges(void);
static void test_random(void);
static uint64_t bits_of(const exam_ranges_t *s);
static bool sane(const exam_ranges_t *s);


int
main(void)
{
    test_add();
    test_full();
    test_missing();
    test_edges();
    test_random();

    return tap_done();
}


/* "0-3 5-5" */

static void
set(exam_ranges_t *s, exam_range_t *m, const char *text)
{
    int       n;
    unsigned  lo, hi;

    exam_ranges_init(s, m, MAX);

    while (sscanf(text, "%u-%u%n", &lo, &hi, &n) == 2) {
        s->r[s->n].lo = lo;
        s->r[s->n].hi = hi;
        s->n++;
        text += n;
    }
}


static void
is(const exam_ranges_t *s, const char *want, const char *name)
{
    char        m[512];
    exam_buf_t  b;

    exam_buf_init(&b, m, sizeof(m));
    exam_ranges_json(&b, s);
    tap_text(m, exam_buf_len(&b), want, name);
}


static void
test_add(void)
{
    size_t         i;
    exam_range_t   m[MAX];
    exam_ranges_t  s;

    static const struct {
        const char  *before;
        uint32_t     lo;
        uint32_t     hi;
        const char  *after;
    } t[] = {
        { "", 0, 0, "[[0,0]]" },
        { "", 5, 9, "[[5,9]]" },
        { "5-9", 0, 3, "[[0,3],[5,9]]" },
        { "5-9", 0, 4, "[[0,9]]" },
        { "5-9", 0, 5, "[[0,9]]" },
        { "5-9", 6, 8, "[[5,9]]" },
        { "5-9", 5, 9, "[[5,9]]" },
        { "5-9", 9, 12, "[[5,12]]" },
        { "5-9", 10, 12, "[[5,12]]" },
        { "5-9", 11, 12, "[[5,9],[11,12]]" },
        { "5-9", 0, 99, "[[0,99]]" },
        { "0-0 2-2 4-4", 1, 1, "[[0,2],[4,4]]" },
        { "0-0 2-2 4-4", 3, 3, "[[0,0],[2,4]]" },
        { "0-0 2-2 4-4", 1, 3, "[[0,4]]" },
        { "0-0 2-2 4-4 8-9", 2, 6, "[[0,0],[2,6],[8,9]]" },
        { "0-0 2-2 4-4 8-9", 2, 7, "[[0,0],[2,9]]" },
        { "1-1 3-3 5-5", 0, 0, "[[0,1],[3,3],[5,5]]" },
        { "1-1 3-3 5-5", 0, 9, "[[0,9]]" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        char  name[128];

        set(&s, m, t[i].before);
        snprintf(name, sizeof(name), "'%s' and %u-%u", t[i].before, t[i].lo,
                 t[i].hi);

        if (!exam_ranges_add(&s, t[i].lo, t[i].hi)) {
            tap_ok(false, "%s: refused", name);
            continue;
        }

        is(&s, t[i].after, name);
    }

    set(&s, m, "5-9");
    tap_ok(!exam_ranges_add(&s, 4, 3), "lo above hi is refused");
    is(&s, "[[5,9]]", "and changes nothing");

    set(&s, m, "");
    tap_is(exam_ranges_highest(&s), -1, "highest of none");
    is(&s, "[]", "none");
    tap_ok(!exam_ranges_has(&s, 0), "has none");

    set(&s, m, "2-4 7-7");
    tap_is(exam_ranges_highest(&s), 7, "highest");
    tap_ok(!exam_ranges_has(&s, 1) && exam_ranges_has(&s, 2)
           && exam_ranges_has(&s, 4) && !exam_ranges_has(&s, 5)
           && !exam_ranges_has(&s, 6) && exam_ranges_has(&s, 7)
           && !exam_ranges_has(&s, 8), "has, at each border");
}


static void
test_full(void)
{
    exam_range_t   *m, m2[MAX];
    exam_ranges_t   s, from;

    m = malloc(3 * sizeof(exam_range_t));
    exam_ranges_init(&s, m, 3);

    tap_ok(exam_ranges_add(&s, 0, 0) && exam_ranges_add(&s, 10, 10)
           && exam_ranges_add(&s, 20, 20), "three fit");
    tap_ok(!exam_ranges_add(&s, 5, 5), "a fourth does not");
    tap_ok(!exam_ranges_add(&s, 30, 30), "nor at the end");
    is(&s, "[[0,0],[10,10],[20,20]]", "and the set is as it was");
    tap_ok(exam_ranges_add(&s, 11, 12), "what extends a range fits");
    tap_ok(exam_ranges_add(&s, 1, 9), "what joins two as well");
    is(&s, "[[0,12],[20,20]]", "joined");

    set(&from, m2, "13-13 30-30 40-40 50-50 21-21");
    tap_ok(!exam_ranges_merge(&s, &from), "a merge of which some do not fit");
    is(&s, "[[0,13],[20,21],[30,30]]", "holds the others");

    set(&from, m2, "14-19 31-31");
    tap_ok(exam_ranges_merge(&s, &from), "a merge that fits");
    is(&s, "[[0,21],[30,31]]", "holds all");

    free(m);
}


static void
test_missing(void)
{
    exam_range_t          ma[MAX], mb[MAX], mo[MAX];
    exam_ranges_t         a, b, out;
    const exam_ranges_t  *sets[2];

    sets[0] = &a;
    sets[1] = &b;

    set(&a, ma, "0-3 8-9");
    set(&b, mb, "3-5 9-12");
    exam_ranges_init(&out, mo, MAX);

    tap_ok(exam_ranges_missing(&out, 0, 14, sets, 2), "missing of two sets");
    is(&out, "[[6,7],[13,14]]", "is in neither");

    tap_ok(exam_ranges_missing(&out, 6, 7, sets, 2), "a gap alone");
    is(&out, "[[6,7]]", "is all missing");

    tap_ok(exam_ranges_missing(&out, 0, 12, sets, 1), "of the first one");
    is(&out, "[[4,7],[10,12]]", "more is missing");

    tap_ok(exam_ranges_missing(&out, 3, 9, sets, 0), "of no set");
    is(&out, "[[3,9]]", "all is missing");

    tap_ok(exam_ranges_missing(&out, 9, 3, sets, 2), "of no number");
    is(&out, "[]", "nothing is");

    set(&a, ma, "1-1 3-3 5-5 7-7");
    exam_ranges_init(&out, mo, 3);
    tap_ok(!exam_ranges_missing(&out, 0, 9, sets, 1), "too many gaps");
    is(&out, "[[0,0],[2,2],[4,4]]", "the first ones are told");

    set(&a, ma, "0-9 20-29 40-40");
    set(&b, mb, "0-2 5-5 9-21 29-35 40-41");
    exam_ranges_init(&out, mo, MAX);
    tap_ok(exam_ranges_subtract(&out, &a, &b), "a difference");
    is(&out, "[[3,4],[6,8],[22,28]]", "is right");

    exam_ranges_init(&out, mo, 2);
    tap_ok(!exam_ranges_subtract(&out, &a, &b), "or does not fit");
}


static void
test_edges(void)
{
    exam_range_t          m[MAX], mo[MAX];
    exam_ranges_t         s, out;
    const exam_ranges_t  *sets[1] = { &s };

    exam_ranges_init(&s, m, MAX);
    exam_ranges_init(&out, mo, MAX);

    tap_ok(exam_ranges_add(&s, UINT32_MAX, UINT32_MAX)
           && exam_ranges_add(&s, 0, 0), "the first and the last number");
    is(&s, "[[0,0],[4294967295,4294967295]]", "do not touch");

    tap_ok(exam_ranges_missing(&out, 0, UINT32_MAX, sets, 1), "between them");
    is(&out, "[[1,4294967294]]", "all is missing");

    tap_ok(exam_ranges_add(&s, 1, UINT32_MAX - 1), "filled");
    is(&s, "[[0,4294967295]]", "one range");
    tap_ok(exam_ranges_missing(&out, 0, UINT32_MAX, sets, 1) && out.n == 0,
           "nothing is missing, and it ends");

    set(&s, m, "5-9 20-20");
    tap_ok(exam_ranges_add(&s, 3, UINT32_MAX), "up to the last number");
    is(&s, "[[3,4294967295]]", "one range again");
}


static uint64_t
bits_of(const exam_ranges_t *s)
{
    uint32_t  i, k;
    uint64_t  bits;

    bits = 0;

    for (i = 0; i < s->n; i++) {
        for (k = s->r[i].lo; k <= s->r[i].hi; k++) {
            bits |= (uint64_t) 1 << k;
        }
    }

    return bits;
}


static bool
sane(const exam_ranges_t *s)
{
    uint32_t  i;

    for (i = 0; i < s->n; i++) {
        if (s->r[i].lo > s->r[i].hi
            || (i > 0 && s->r[i].lo <= s->r[i - 1].hi + 1))
        {
            return false;
        }
    }

    return s->n <= s->max;
}


static void
test_random(void)
{
    int                   round, step;
    bool                  add, miss, cut, gone;
    uint32_t              k, lo, hi;
    uint64_t              bits[2], span, want;
    exam_range_t          m[2][MAX], mo[BITS];
    exam_ranges_t         s[2], out;
    const exam_ranges_t  *sets[2] = { &s[0], &s[1] };

    add = miss = cut = gone = true;

    for (round = 0; round < 500; round++) {

        for (k = 0; k < 2; k++) {
            exam_ranges_init(&s[k], m[k], MAX);
            bits[k] = 0;
        }

        for (step = 0; step < 20; step++) {
            k = tap_random() % 2;
            lo = tap_random() % BITS;
            hi = lo + tap_random() % 6;
            hi = hi < BITS ? hi : BITS - 1;

            span = (~(uint64_t) 0 >> (BITS - 1 - (hi - lo))) << lo;

            if (exam_ranges_add(&s[k], lo, hi)) {
                bits[k] |= span;

            } else {
                add = add && s[k].n == MAX;
            }

            add = add && sane(&s[k]) && bits_of(&s[k]) == bits[k];

            exam_ranges_init(&out, mo, BITS);
            want = span & ~(bits[0] | bits[1]);
            miss = miss && exam_ranges_missing(&out, lo, hi, sets, 2)
                   && sane(&out) && bits_of(&out) == want;

            cut = cut && exam_ranges_subtract(&out, &s[0], &s[1])
                  && sane(&out) && bits_of(&out) == (bits[0] & ~bits[1]);

            lo = tap_random() % BITS;
            want = bits[k] & ~((uint64_t) 1 << lo);

            if (!exam_ranges_remove(&s[k], lo)) {

                /* what is left is a part of it, and all of what is above */

                gone = gone && s[k].n == MAX && (bits_of(&s[k]) & ~want) == 0
                       && bits_of(&s[k]) >> lo == want >> lo;
                want = bits_of(&s[k]);
            }

            gone = gone && sane(&s[k]) && bits_of(&s[k]) == want;
            bits[k] = want;
        }
    }

    tap_ok(add, "10,000 random additions");
    tap_ok(miss, "10,000 times what is missing");
    tap_ok(cut, "10,000 differences");
    tap_ok(gone, "10,000 removals");
}
