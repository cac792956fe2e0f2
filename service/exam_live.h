
/*
 * MySQL to Redis: exams, rosters and flags as nodes see them (DESIGN 5).  The
 * only writer of exam:{E}, its roster and flags, exam:active and exam:loaded;
 * called by examctl, the worker, and later exam-api.
 *
 * MySQL is written first and decides.  Each change raises exams.version in the
 * same transaction; the exam hash in Redis carries the version it shows, and it
 * is written last.  So a version that differs means: something is missing here,
 * load the exam.  Read from MySQL and write to Redis happen under one advisory
 * lock of MySQL per exam (exam_live_lock): two programs cannot overtake each
 * other.  What was shown is told to the nodes behind it (exam_control.h); who
 * misses that learns it from the next flush.
 */


#ifndef EXAM_LIVE_H_INCLUDED
#define EXAM_LIVE_H_INCLUDED


#include "exam_mysql.h"
#include "exam_redis.h"
#include "exam_redis_row.h"
#include "exam_state.h"


#define EXAM_TITLE_MAX    1024      /* bytes: 255 characters and NUL */
#define EXAM_LOADED_MAX   64


typedef enum {
    EXAM_LIVE_OK = 0,
    EXAM_LIVE_NOT_FOUND,            /* no such exam or student */
    EXAM_LIVE_BUSY,                 /* another holds the lease or the lock */
    EXAM_LIVE_DB,                   /* db->error */
    EXAM_LIVE_REDIS                 /* redis->error */
} exam_live_e;


typedef struct {
    char          id[EXAM_EXAM_MAX + 1];
    char          title[EXAM_TITLE_MAX];
    exam_state_e  state;
    int64_t       starts_at;        /* ms */
    int64_t       ends_at;
    int64_t       pause_ms;
    int64_t       paused_at;        /* 0 = not paused */
    int64_t       version;          /* ms, rises with each change */
} exam_live_exam_t;


/* flags of one student: the columns of `students` and the JSON in Redis */

typedef struct {
    bool          suspended;
    bool          locked;
    bool          paused;
    bool          finish;
    int64_t       extra_s;
} exam_live_flags_t;


/* received segments of the caller's own spool, called before exam:loaded */

typedef exam_live_e (*exam_live_spool_pt)(exam_redis_t *redis, void *data);


/* waits up to 10 s: EXAM_LIVE_BUSY */

EXAM_MUST_CHECK exam_live_e exam_live_lock(exam_mysql_t *db, exam_str_t exam);
void exam_live_unlock(exam_mysql_t *db, exam_str_t exam);

/* one row of `exams` */

EXAM_MUST_CHECK exam_live_e exam_live_read(exam_mysql_t *db, exam_str_t exam,
    exam_live_exam_t *out);

/*
 * Writes one exam whole: flags, roster (as `...:new`, renamed, with `_v`),
 * exam:active, the hash with its version last.  An archived exam: the hash
 * only.  Takes the lock; exam_live_load_locked() is for who holds it.
 */

EXAM_MUST_CHECK exam_live_e exam_live_load(exam_mysql_t *db,
    exam_redis_t *redis, exam_str_t exam);

EXAM_MUST_CHECK exam_live_e exam_live_load_locked(exam_mysql_t *db,
    exam_redis_t *redis, exam_str_t exam);

/*
 * Shows a change that was just committed under the lock: the exam's settings,
 * and the flags of `student` unless it is empty.  `before` is the version that
 * MySQL had before the change; when Redis shows another one, the whole exam is
 * loaded.
 */

EXAM_MUST_CHECK exam_live_e exam_live_update(exam_mysql_t *db,
    exam_redis_t *redis, exam_str_t exam, exam_str_t student, int64_t before);

/*
 * The same of a change that touched many students: the flags of all are read
 * and written at once.
 */

EXAM_MUST_CHECK exam_live_e exam_live_update_all(exam_mysql_t *db,
    exam_redis_t *redis, exam_str_t exam, int64_t before);

/*
 * Loads each exam whose version or roster Redis does not show as MySQL has it:
 * the worker's warm-up and its repair every few seconds.  *loaded counts them.
 */

EXAM_MUST_CHECK exam_live_e exam_live_sync(exam_mysql_t *db,
    exam_redis_t *redis, unsigned *loaded);

/*
 * Is exam:loaded there?  `value` differs from what it was when somebody has
 * refilled Redis since: then announce the own spool again.  "" = not loaded.
 */

EXAM_MUST_CHECK exam_live_e exam_live_loaded(exam_redis_t *redis,
    char value[EXAM_LOADED_MAX]);

/*
 * The latest session of each student with its end, and `stored` -1 for each
 * session and kind that has none: a part of the refill.
 */

EXAM_MUST_CHECK exam_live_e exam_live_sessions(exam_mysql_t *db,
    exam_redis_t *redis, const exam_conf_t *conf, exam_str_t exam);

/*
 * Refills an emptied Redis under the lease exam:rebuild: all exams, rosters,
 * flags; of those not archived sessions, ledger and `stored` from the tables
 * sessions, recordings and lost_segments, and unexpired commands; the group
 * `workers` of this node's stream from 0; `spool` (may be NULL); exam:loaded
 * last, and until it is there every login is told to come again.  BUSY: a
 * program elsewhere does it now.  OK at once when exam:loaded is there.
 */

EXAM_MUST_CHECK exam_live_e exam_live_refill(exam_mysql_t *db,
    exam_redis_t *redis, const exam_conf_t *conf, exam_live_spool_pt spool,
    void *data);

/* creates the group `workers` of the node's stream from 0 when missing */

EXAM_MUST_CHECK exam_live_e exam_live_group(exam_redis_t *redis,
    exam_str_t node);

/*
 * Ends the student's session as `forced` through EXAM_SCRIPT_LOGOUT; nodes
 * learn it by the flush.  NOT_FOUND: no active session.
 */

EXAM_MUST_CHECK exam_live_e exam_live_force_logout(exam_redis_t *redis,
    const exam_conf_t *conf, exam_str_t exam, exam_str_t student);


#endif /* EXAM_LIVE_H_INCLUDED */
