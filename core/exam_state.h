
/*
 * The table of states (DESIGN 4) as one pure function: what an action of a
 * candidate meets, given what is known of exam, student and session.
 */


#ifndef EXAM_STATE_H_INCLUDED
#define EXAM_STATE_H_INCLUDED


#include "exam_err.h"

#include <stdbool.h>
#include <stdint.h>


typedef enum {
    EXAM_STATE_UNKNOWN = 0,         /* a cold node: everything is allowed */
    EXAM_STATE_DRAFT,
    EXAM_STATE_OPEN,
    EXAM_STATE_CLOSED,
    EXAM_STATE_ARCHIVED
} exam_state_e;


typedef enum {
    EXAM_ENDED_NO = 0,
    EXAM_ENDED_LOGOUT,
    EXAM_ENDED_REPLACED,
    EXAM_ENDED_FORCED,
    EXAM_ENDED_EXAM_OVER
} exam_ended_e;


typedef enum {
    EXAM_ACTION_HEARTBEAT = 0,
    EXAM_ACTION_UPLOAD,             /* PUT, uploads */
    EXAM_ACTION_LOOK,               /* GET recordings, me */
    EXAM_ACTION_LOGOUT
} exam_action_e;


#define EXAM_FLAG_SUSPENDED  0x01
#define EXAM_FLAG_LOCKED     0x02
#define EXAM_FLAG_PAUSED     0x04
#define EXAM_FLAG_FINISH     0x08


typedef struct {
    exam_state_e  state;
    exam_ended_e  ended;
    unsigned      flags;            /* EXAM_FLAG_* of the student */
    int64_t       own_end;          /* ms without running pause; 0 unknown */
    int64_t       paused_at;        /* ms of the exam-wide pause, 0 = none */
    int64_t       late_ms;          /* exam_late_upload */
    bool          known;            /* Redis has told flags and own end */
} exam_view_t;


typedef struct {
    bool          locked;
    bool          paused;
    bool          closed;
} exam_status_t;


/* own end as of now: the running pause added; 0 unknown */

int64_t exam_state_own_end(const exam_view_t *v, int64_t now);

/* own end + late window; 0 unknown */

int64_t exam_state_deadline(const exam_view_t *v, int64_t now);

exam_status_t exam_state_status(const exam_view_t *v, int64_t now);

/* EXAM_OK or the error of the table; EXAM_OVER also says ended(exam_over) */

EXAM_MUST_CHECK exam_err_e exam_state_check(const exam_view_t *v,
    exam_action_e action, int64_t now);

/*
 * Names as they stand in Redis and in replies; "" is a session that goes on.
 * A reason that this version does not know is read as forced: the session has
 * ended, whatever for.  An unknown state is EXAM_STATE_UNKNOWN.
 */

const char *exam_state_name(exam_state_e state);
exam_state_e exam_state_parse(const char *p, size_t len);
const char *exam_ended_name(exam_ended_e ended);
exam_ended_e exam_ended_parse(const char *p, size_t len);


#endif /* EXAM_STATE_H_INCLUDED */
