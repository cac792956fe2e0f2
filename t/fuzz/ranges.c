
/*
 * Sets of segment numbers against bits: the input is a list of operations of
 * three bytes, the sets are small, so that they overflow, and lie at the bottom
 * or at the top of the numbers (the first byte chooses).
 */


#include "fuzz.h"

#include "exam_ranges.h"


#define FUZZ_BITS       256
#define FUZZ_SETS       3
#define FUZZ_ROOM       6           /* ranges in a set */
#define FUZZ_OPS        200         /* looked at in one input */


static void fuzz_op(unsigned op, uint8_t a, uint8_t b);
static void fuzz_add(size_t set, unsigned lo, unsigned hi);
static void fuzz_merge(size_t to, size_t from);
static void fuzz_missing(unsigned lo, unsigned hi, size_t n);
static void fuzz_subtract(size_t from, size_t cut);
static void fuzz_json(size_t set);
static void fuzz_is(const exam_ranges_t *s, const bool *bits);
static bool fuzz_in(const exam_ranges_t *s, uint32_t number);
static unsigned fuzz_count(const bool *bits);


static uint32_t       base;
static exam_ranges_t  sets[FUZZ_SETS];
static exam_range_t   memory[FUZZ_SETS][FUZZ_ROOM];
static bool           model[FUZZ_SETS][FUZZ_BITS];


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t  i;

    if (size == 0) {
        return 0;
    }

    base = (data[0] & 1) ? UINT32_MAX - (FUZZ_BITS - 1) : 0;
    memset(model, 0, sizeof(model));

    for (i = 0; i < FUZZ_SETS; i++) {
        exam_ranges_init(&sets[i], memory[i], FUZZ_ROOM - (uint32_t) i);
    }

    for (i = 1; i + 3 <= size && i < FUZZ_OPS * 3; i += 3) {
        fuzz_op(data[i], data[i + 1], data[i + 2]);
    }

    for (i = 0; i < FUZZ_SETS; i++) {
        fuzz_json(i);
    }

    return 0;
}


static void
fuzz_op(unsigned op, uint8_t a, uint8_t b)
{
    size_t  set, other;

    set = op / 8 % FUZZ_SETS;
    other = (set + 1 + op / 32 % (FUZZ_SETS - 1)) % FUZZ_SETS;

    switch (op % 8) {

    case 4:
        fuzz_merge(set, other);
        break;

    case 5:
        fuzz_missing(a, b, op / 8 % (FUZZ_SETS + 1));
        break;

    case 6:
        fuzz_subtract(set, other);
        break;

    case 7:
        fuzz_check(exam_ranges_has(&sets[set], base + a) == model[set][a],
                   "a number is in the set when it was put there");
        break;

    default:
        fuzz_add(set, a, b);
        break;
    }

    fuzz_is(&sets[set], model[set]);
}


static void
fuzz_add(size_t set, unsigned lo, unsigned hi)
{
    bool      got, want, after[FUZZ_BITS];
    unsigned  i;

    memcpy(after, model[set], sizeof(after));

    for (i = lo; i <= hi; i++) {
        after[i] = true;
    }

    want = lo <= hi && fuzz_count(after) <= sets[set].max;
    got = exam_ranges_add(&sets[set], base + lo, base + hi);

    fuzz_check(got == want, "ranges are added as long as there is room");

    if (got) {
        memcpy(model[set], after, sizeof(after));
    }
}


static void
fuzz_merge(size_t to, size_t from)
{
    bool      all, fits, after[FUZZ_BITS];
    unsigned  i, k;

    all = true;

    for (i = 0; i < FUZZ_BITS; i = k + 1) {
        k = i;

        if (!model[from][i]) {
            continue;
        }

        memcpy(after, model[to], sizeof(after));

        for ( /* void */ ; k < FUZZ_BITS && model[from][k]; k++) {
            after[k] = true;
        }

        fits = fuzz_count(after) <= sets[to].max;
        all = all && fits;

        if (fits) {
            memcpy(model[to], after, sizeof(after));
        }
    }

    fuzz_check(exam_ranges_merge(&sets[to], &sets[from]) == all,
               "a merge tells whether all did fit");
}


static void
fuzz_missing(unsigned lo, unsigned hi, size_t n)
{
    bool                  got, want[FUZZ_BITS];
    size_t                i, k;
    exam_range_t          few[2], many[FUZZ_BITS];
    exam_ranges_t         out;
    const exam_ranges_t  *given[FUZZ_SETS];

    memset(want, 0, sizeof(want));

    for (i = lo; i <= hi; i++) {
        want[i] = true;

        for (k = 0; k < n; k++) {
            want[i] = want[i] && !model[k][i];
        }
    }

    for (k = 0; k < n; k++) {
        given[k] = &sets[k];
    }

    exam_ranges_init(&out, many, FUZZ_BITS);

    fuzz_check(exam_ranges_missing(&out, base + lo, base + hi, given, n),
               "with room for all, all that is missing is told");
    fuzz_is(&out, want);

    exam_ranges_init(&out, few, 2);
    got = exam_ranges_missing(&out, base + lo, base + hi, given, n);

    fuzz_check(got == (fuzz_count(want) <= 2), "truncated is told");

    for (i = 0; i < FUZZ_BITS; i++) {
        fuzz_check(want[i] || !exam_ranges_has(&out, base + (uint32_t) i),
                   "what is there is not told as missing");
    }
}


static void
fuzz_subtract(size_t from, size_t cut)
{
    bool           want[FUZZ_BITS];
    unsigned       i;
    exam_range_t   many[FUZZ_BITS];
    exam_ranges_t  out;

    for (i = 0; i < FUZZ_BITS; i++) {
        want[i] = model[from][i] && !model[cut][i];
    }

    exam_ranges_init(&out, many, FUZZ_BITS);

    fuzz_check(exam_ranges_subtract(&out, &sets[from], &sets[cut]),
               "with room for all, all is left");
    fuzz_is(&out, want);
}


static void
fuzz_json(size_t set)
{
    char        want[512];
    int         len;
    uint8_t     text[512];
    uint32_t    i;
    exam_buf_t  b;
    exam_str_t  got;

    exam_buf_init(&b, text, sizeof(text));
    exam_ranges_json(&b, &sets[set]);
    got = fuzz_written(&b);

    len = snprintf(want, sizeof(want), "[");

    for (i = 0; i < sets[set].n; i++) {
        len += snprintf(want + len, sizeof(want) - (size_t) len,
                        "%s[%" PRIu32 ",%" PRIu32 "]", i ? "," : "",
                        sets[set].r[i].lo, sets[set].r[i].hi);
    }

    len += snprintf(want + len, sizeof(want) - (size_t) len, "]");

    fuzz_check(!b.overflow
               && exam_str_eq(got, exam_str_make(want, (size_t) len)),
               "a set in JSON");
}


/* sorted, apart from each other, and exactly these numbers */

static void
fuzz_is(const exam_ranges_t *s, const bool *bits)
{
    int64_t   highest;
    uint32_t  i;

    highest = -1;

    for (i = 0; i < FUZZ_BITS; i++) {
        fuzz_check(fuzz_in(s, base + i) == bits[i],
                   "a set holds what was put there, and nothing else");

        if (bits[i]) {
            highest = (int64_t) base + i;
        }
    }

    fuzz_check(s->n <= s->max && s->n == fuzz_count(bits),
               "a set has as few ranges as can be");

    for (i = 1; i < s->n; i++) {
        fuzz_check(s->r[i].lo > (uint64_t) s->r[i - 1].hi + 1,
                   "ranges are sorted and apart");
    }

    fuzz_check(exam_ranges_highest(s) == highest, "the highest number");
}


static bool
fuzz_in(const exam_ranges_t *s, uint32_t number)
{
    uint32_t  i;

    for (i = 0; i < s->n; i++) {
        if (s->r[i].lo <= number && number <= s->r[i].hi) {
            return true;
        }
    }

    return false;
}


static unsigned
fuzz_count(const bool *bits)
{
    unsigned  i, n;

    for (i = 0, n = 0; i < FUZZ_BITS; i++) {
        n += bits[i] && (i == 0 || !bits[i - 1]);
    }

    return n;
}
