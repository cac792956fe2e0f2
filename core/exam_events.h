
/*
 * The body of POST /api/v1/events (DESIGN 3.1).  Pure, any thread.
 */


#ifndef EXAM_EVENTS_H_INCLUDED
#define EXAM_EVENTS_H_INCLUDED


#include "exam_journal.h"


#define EXAM_EVENTS_MAX        50       /* a request */
#define EXAM_EVENTS_BODY_MAX   262144   /* bytes */
#define EXAM_EVENTS_EVENT_MAX  4096     /* bytes of one, as it was sent */

/* for a body of so many bytes: `data` is kept, and what yajl needs */

#define EXAM_EVENTS_ARENA(len)  ((len) + 65536)


typedef struct {
    exam_str_t    id;               /* in the arena, all three */
    exam_str_t    type;
    exam_str_t    data;             /* compact JSON, empty: none given */
    int64_t       client_time;      /* ms, -1 */
} exam_event_t;


typedef struct {
    size_t        n;
    exam_event_t  list[EXAM_EVENTS_MAX];
} exam_events_t;


/*
 * `id`: 1 to 64 of [A-Za-z0-9._-]; `type`: 1 to 64 bytes without control
 * characters; `client_time` and `data`, any value, may be left out.  BAD_VALUE
 * for more than EXAM_EVENTS_MAX, TOO_LARGE for one that is too large.
 */

EXAM_MUST_CHECK exam_err_e exam_events_parse(exam_str_t body,
    exam_arena_t *arena, exam_events_t *out);

bool exam_event_id(exam_str_t id);


#endif /* EXAM_EVENTS_H_INCLUDED */
