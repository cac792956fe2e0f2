
/*
 * A set of segment numbers as sorted, disjoint, non-adjacent ranges in a fixed
 * array.  The usual set is one range; a set that would need more ranges than
 * fit refuses the number (false) and stays as it was.  Pure.
 */


#ifndef EXAM_RANGES_H_INCLUDED
#define EXAM_RANGES_H_INCLUDED


#include "exam_buf.h"


typedef struct {
    uint32_t       lo;
    uint32_t       hi;              /* inclusive */
} exam_range_t;


typedef struct {
    uint32_t       n;
    uint32_t       max;
    exam_range_t  *r;               /* the caller's memory, `max` of them */
} exam_ranges_t;


void exam_ranges_init(exam_ranges_t *s, exam_range_t *memory, uint32_t max);
bool exam_ranges_add(exam_ranges_t *s, uint32_t lo, uint32_t hi);
bool exam_ranges_has(const exam_ranges_t *s, uint32_t n);

/*
 * Takes n out.  false: there is no room for both halves of its range, and the
 * lower one was given up with it.
 */

bool exam_ranges_remove(exam_ranges_t *s, uint32_t n);

/* all of `from` into s; false when some did not fit (s holds the others) */

bool exam_ranges_merge(exam_ranges_t *s, const exam_ranges_t *from);

/* out = the numbers lo..hi that are in none of the n sets; false: truncated */

bool exam_ranges_missing(exam_ranges_t *out, uint32_t lo, uint32_t hi,
    const exam_ranges_t *const *sets, size_t n);

/* s without the numbers of `cut`, into out (not s itself) */

bool exam_ranges_subtract(exam_ranges_t *out, const exam_ranges_t *s,
    const exam_ranges_t *cut);

/* the highest number, -1 for the empty set */

int64_t exam_ranges_highest(const exam_ranges_t *s);

/* [[0,12],[14,14]] */

void exam_ranges_json(exam_buf_t *b, const exam_ranges_t *s);


#endif /* EXAM_RANGES_H_INCLUDED */
