
/*
 * Clocks and random bytes of the daemons.  Wall clock for what is stored and
 * shown, monotonic for durations and deadlines (DESIGN 4).  Any thread.
 */


#ifndef EXAM_TIME_H_INCLUDED
#define EXAM_TIME_H_INCLUDED


#include "exam_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define EXAM_TIME_ISO  25           /* 2026-11-20T15:40:09.123Z and NUL */


int64_t exam_now_ms(void);          /* Unix time */
int64_t exam_mono_ms(void);

/* UTC with milliseconds; years 0 to 9999, others are clamped */

void exam_time_iso(char out[EXAM_TIME_ISO], int64_t ms);

/*
 * "now", "+3h", "+90m", "+20s", "+2d" (from `now`), or ISO 8601: date, `T` or
 * space, hh:mm[:ss[.fff]], then `Z`, `+hh:mm` or nothing, which is local time.
 */

EXAM_MUST_CHECK bool exam_time_parse(const char *text, int64_t now,
    int64_t *ms);

/* getrandom(); never short.  Ends the process when the kernel has none */

void exam_random(void *out, size_t len);


#endif /* EXAM_TIME_H_INCLUDED */
