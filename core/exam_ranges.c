
/*
 * Sets of segment numbers.  Invariant of every set: r[0..n) is sorted, ranges
 * do not overlap nor touch, n <= max.  The caller's memory and lock.
 */


#include "exam_ranges.h"


static uint32_t exam_ranges_find(const exam_ranges_t *s, uint32_t n);
static bool exam_ranges_gaps(exam_ranges_t *out, uint32_t lo, uint32_t hi,
    const exam_ranges_t *const *sets, size_t n);


void
exam_ranges_init(exam_ranges_t *s, exam_range_t *memory, uint32_t max)
{
    s->n = 0;
    s->max = max;
    s->r = memory;
}


/* the first range that ends at n or behind it, s->n if there is none */

static uint32_t
exam_ranges_find(const exam_ranges_t *s, uint32_t n)
{
    uint32_t  a, b, m;

    a = 0;
    b = s->n;

    while (a < b) {
        m = a + (b - a) / 2;

        if (s->r[m].hi < n) {
            a = m + 1;

        } else {
            b = m;
        }
    }

    return a;
}


bool
exam_ranges_add(exam_ranges_t *s, uint32_t lo, uint32_t hi)
{
    uint32_t  first, last;

    if (lo > hi) {
        return false;
    }

    /* [first, last) touch or overlap lo..hi and become one with it */

    first = exam_ranges_find(s, lo > 0 ? lo - 1 : 0);
    last = first;

    while (last < s->n && s->r[last].lo <= (uint64_t) hi + 1) {
        last++;
    }

    if (first == last) {

        if (s->n == s->max) {
            return false;
        }

        memmove(&s->r[first + 1], &s->r[first],
                (s->n - first) * sizeof(exam_range_t));

        s->r[first].lo = lo;
        s->r[first].hi = hi;
        s->n++;

        return true;
    }

    if (lo < s->r[first].lo) {
        s->r[first].lo = lo;
    }

    if (hi < s->r[last - 1].hi) {
        hi = s->r[last - 1].hi;
    }

    s->r[first].hi = hi;

    memmove(&s->r[first + 1], &s->r[last],
            (s->n - last) * sizeof(exam_range_t));

    s->n -= last - first - 1;

    return true;
}


bool
exam_ranges_has(const exam_ranges_t *s, uint32_t n)
{
    uint32_t  i;

    i = exam_ranges_find(s, n);

    return i < s->n && s->r[i].lo <= n;
}


bool
exam_ranges_remove(exam_ranges_t *s, uint32_t n)
{
    uint32_t  i;

    i = exam_ranges_find(s, n);

    if (i == s->n || s->r[i].lo > n) {
        return true;
    }

    if (s->r[i].lo == s->r[i].hi) {
        s->n--;
        memmove(&s->r[i], &s->r[i + 1], (s->n - i) * sizeof(exam_range_t));

        return true;
    }

    if (s->r[i].hi == n) {
        s->r[i].hi--;
        return true;
    }

    if (s->r[i].lo != n) {

        if (s->n == s->max) {
            s->r[i].lo = n + 1;
            return false;
        }

        memmove(&s->r[i + 1], &s->r[i], (s->n - i) * sizeof(exam_range_t));
        s->n++;
        s->r[i++].hi = n - 1;
    }

    s->r[i].lo = n + 1;

    return true;
}


bool
exam_ranges_merge(exam_ranges_t *s, const exam_ranges_t *from)
{
    bool      all;
    uint32_t  i;

    all = true;

    for (i = 0; i < from->n; i++) {
        if (!exam_ranges_add(s, from->r[i].lo, from->r[i].hi)) {
            all = false;
        }
    }

    return all;
}


bool
exam_ranges_missing(exam_ranges_t *out, uint32_t lo, uint32_t hi,
    const exam_ranges_t *const *sets, size_t n)
{
    out->n = 0;

    return exam_ranges_gaps(out, lo, hi, sets, n);
}


bool
exam_ranges_subtract(exam_ranges_t *out, const exam_ranges_t *s,
    const exam_ranges_t *cut)
{
    uint32_t  i;

    out->n = 0;

    for (i = 0; i < s->n; i++) {
        if (!exam_ranges_gaps(out, s->r[i].lo, s->r[i].hi, &cut, 1)) {
            return false;
        }
    }

    return true;
}


/* adds to out the numbers lo..hi that are in none of the sets */

static bool
exam_ranges_gaps(exam_ranges_t *out, uint32_t lo, uint32_t hi,
    const exam_ranges_t *const *sets, size_t n)
{
    size_t               i;
    uint32_t             k;
    uint64_t             end, pos;
    const exam_range_t  *r;

    pos = lo;                       /* 64 bits: hi may be UINT32_MAX */

    while (pos <= hi) {
        end = (uint64_t) hi + 1;    /* of the gap that begins at pos */

        for (i = 0; i < n; i++) {
            k = exam_ranges_find(sets[i], (uint32_t) pos);

            if (k == sets[i]->n) {
                continue;
            }

            r = &sets[i]->r[k];

            if (r->lo <= pos) {
                pos = (uint64_t) r->hi + 1;
                break;
            }

            if (r->lo < end) {
                end = r->lo;
            }
        }

        if (i < n) {
            continue;               /* pos was covered: look again behind it */
        }

        if (!exam_ranges_add(out, (uint32_t) pos, (uint32_t) (end - 1))) {
            return false;
        }

        pos = end;
    }

    return true;
}


int64_t
exam_ranges_highest(const exam_ranges_t *s)
{
    return s->n == 0 ? -1 : (int64_t) s->r[s->n - 1].hi;
}


void
exam_ranges_json(exam_buf_t *b, const exam_ranges_t *s)
{
    uint32_t  i;

    exam_buf_char(b, '[');

    for (i = 0; i < s->n; i++) {
        if (i != 0) {
            exam_buf_char(b, ',');
        }

        exam_buf_char(b, '[');
        exam_buf_uint(b, s->r[i].lo);
        exam_buf_char(b, ',');
        exam_buf_uint(b, s->r[i].hi);
        exam_buf_char(b, ']');
    }

    exam_buf_char(b, ']');
}
