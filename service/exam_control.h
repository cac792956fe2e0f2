
/*
 * Entries of the stream exam:{E}:control (DESIGN 5) as the daemons and tools
 * write them (how nodes read them: exam_entry.h).  Every node applies all, by
 * the command's id, so that an entry that stands twice is harmless.  Nothing is
 * trimmed here: the watcher does that.
 *
 * All of these append to the pipeline (exam_redis_append): the caller takes the
 * replies.
 */


#ifndef EXAM_CONTROL_H_INCLUDED
#define EXAM_CONTROL_H_INCLUDED


#include "exam_entry.h"
#include "exam_redis.h"
#include "exam_redis_row.h"


#define EXAM_CONTROL_LIST_MAX  (EXAM_ENTRY_STUDENTS * (EXAM_STUDENT_MAX + 1))


/* settings of the exam, or flags of anybody, have changed */

EXAM_MUST_CHECK exam_redis_e exam_control_exam(exam_redis_t *redis,
    exam_str_t exam);

EXAM_MUST_CHECK exam_redis_e exam_control_roster(exam_redis_t *redis,
    exam_str_t exam);

/* a session was ended from outside */

EXAM_MUST_CHECK exam_redis_e exam_control_end(exam_redis_t *redis,
    exam_str_t exam, exam_str_t student, exam_str_t sid, exam_str_t reason);


typedef struct {
    exam_str_t  exam;
    uint64_t    id;
    exam_str_t  type;
    exam_str_t  payload;            /* a JSON object */
    int64_t     expires_at;         /* ms */
} exam_control_send_t;

/*
 * `students`: separated by single spaces, at most EXAM_ENTRY_STUDENTS; empty:
 * all students of the exam
 */

EXAM_MUST_CHECK exam_redis_e exam_control_send(exam_redis_t *redis,
    const exam_control_send_t *c, exam_str_t students);

EXAM_MUST_CHECK exam_redis_e exam_control_cancel(exam_redis_t *redis,
    exam_str_t exam, uint64_t id);

EXAM_MUST_CHECK exam_redis_e exam_control_ack(exam_redis_t *redis,
    exam_str_t exam, uint64_t id, exam_str_t node, exam_str_t students);


#endif /* EXAM_CONTROL_H_INCLUDED */
