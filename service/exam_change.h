
/*
 * The one way in which programs change an exam, its roster or its students:
 *
 *     lock of the exam -> transaction: read, body, exams row with a higher
 *     version, audit row -> Redis -> unlock
 *
 * When Redis is away the change stands in MySQL, the result says so, and the
 * worker loads it: the version in Redis is then not the one of MySQL.  Called
 * by examctl, the worker's watch and later exam-api; one thread a connection.
 */


#ifndef EXAM_CHANGE_H_INCLUDED
#define EXAM_CHANGE_H_INCLUDED


#include "exam_live.h"


#define EXAM_ACTOR_MAX  80          /* bytes of audit_log.actor, and NUL */


typedef enum {
    EXAM_CHANGE_OK = 0,
    EXAM_CHANGE_BUSY,               /* another program has the lock */
    EXAM_CHANGE_NOT_FOUND,
    EXAM_CHANGE_EXISTS,             /* and was to be created */
    EXAM_CHANGE_REFUSED,            /* by the body */
    EXAM_CHANGE_DB,                 /* db->error; with db->conn NULL nobody
                                       knows whether the change stands */
    EXAM_CHANGE_REDIS,              /* stands in MySQL, redis->error */
    EXAM_CHANGE_UNREAD              /* stands in MySQL, db->error after it */
} exam_change_e;


/*
 * Checks *e (the exam as it stands), changes its members and whatever else in
 * the same transaction.  May run more than once.  EXAM_DB_END: refused.
 */

typedef exam_db_e (*exam_change_pt)(exam_mysql_t *db, exam_live_exam_t *e,
    void *data);


typedef struct {
    const char      *actor;         /* of the audit row */
    const char      *action;        /* likewise: "exam.open" */
    const char      *detail;        /* likewise; may be NULL */
    exam_str_t       exam;
    exam_str_t       student;       /* empty: not of one student */
    exam_change_pt   body;
    void            *data;
    bool             create;        /* the exam must not exist, *e is zeroed */
    bool             whole;         /* roster too: load all into Redis */
} exam_change_t;


/* db is connected */

EXAM_MUST_CHECK exam_change_e exam_change(exam_mysql_t *db,
    exam_redis_t *redis, const exam_change_t *c);

/* a row of audit_log, in the caller's transaction */

EXAM_MUST_CHECK exam_db_e exam_change_audit(exam_mysql_t *db,
    const char *actor, const char *action, exam_str_t exam,
    exam_str_t student, const char *detail);

/*
 * The clock of the exam: `now` less all its pauses, ms; it stands still while
 * the exam is paused.
 */

int64_t exam_change_clock(const exam_live_exam_t *e, int64_t now);

/* for bodies: ends the exam-wide pause, closes the exam */

void exam_change_end_pause(exam_live_exam_t *e, int64_t now);
void exam_change_close(exam_live_exam_t *e, int64_t now);

/*
 * Closes an open exam whose last own end has come: ends_at, finished pauses and
 * the greatest extra time of its students.  While it, or anybody who has not
 * finished, is paused it does not end.
 * REFUSED: not yet, *ends_at (ms) says when, 0 while nobody knows.
 */

EXAM_MUST_CHECK exam_change_e exam_change_over(exam_mysql_t *db,
    exam_redis_t *redis, const char *actor, exam_str_t exam, int64_t now,
    int64_t *ends_at);


#endif /* EXAM_CHANGE_H_INCLUDED */
