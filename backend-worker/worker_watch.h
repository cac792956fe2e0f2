
/*
 * The presence watch (DESIGN 5, exam:{E}:watch; 8): who of the active sessions
 * is online, late or offline, declared by one worker for each exam.  A thread
 * of its own: it must not wait for uploads, and for MySQL only a moment.
 *
 *   worker_watch.c       the thread, leases, what makes it start anew
 *   worker_watch_exam.c  an exam: its end, its control stream, its sessions
 *   worker_watch_node.c  what nodes say of themselves
 *   worker_watch_view.c  who has changed, told to Redis
 *   worker_watch_db.c    views in MySQL
 *
 * Invariants: nobody becomes late or offline because Redis, a node or this
 * worker was away.  Silence is measured up to what the node has flushed, not
 * from before it could be spoken to, and a node that has flushed nothing since
 * the last doubt (`since`) says nothing.  A change counts only once the script
 * that holds against the lease has written it.
 */


#ifndef WORKER_WATCH_H_INCLUDED
#define WORKER_WATCH_H_INCLUDED


#include "exam_change.h"
#include "worker.h"


#define WORKER_WATCH_TICK     1000          /* ms */
#define WORKER_WATCH_STALL    5000          /* ms between two ticks */
#define WORKER_WATCH_LEASE    10000         /* ms */
#define WORKER_WATCH_RELOAD   60000         /* ms between looks at all */
#define WORKER_WATCH_TRIM     60000         /* ms */
#define WORKER_WATCH_OVER     30000         /* ms between tries to close */
#define WORKER_WATCH_DAY      86400000      /* ms: late window, expiry */
#define WORKER_WATCH_DB_S     3             /* s that MySQL may take */
#define WORKER_WATCH_ROWS     500           /* students a command of Redis */
#define WORKER_WATCH_SAVE     64            /* rows a statement */


typedef enum {
    WORKER_VIEW_ONLINE = 0,
    WORKER_VIEW_LATE,
    WORKER_VIEW_OFFLINE
} worker_view_e;


typedef struct {
    char             name[EXAM_NODE_MAX + 1];
    bool             present;       /* its hash is there */
    int64_t          now;           /* ms, its clock, when it wrote that */
    int64_t          flushed_at;    /* ms, its clock: all older is in Redis */
    int64_t          up;            /* ms, its clock: can answer since then */
    int64_t          heard;         /* monotonic ms of its last sign of life */
} worker_node_t;


/* the session that a student has now, or had last */

typedef struct {
    char             student[EXAM_STUDENT_MAX + 1];
    char             sid[EXAM_SID_HEX + 1];
    bool             active;
    bool             unsaved;       /* MySQL has another view */
    bool             by_node;       /* cause */
    uint16_t         node;          /* place in watch->nodes */
    worker_view_e    view;
    worker_view_e    next;          /* what it becomes */
    int64_t          login_at;      /* ms */
    int64_t          seen;          /* ms, the last beat known, 0 none */
    int64_t          declared;      /* ms, `seen` when it was declared */
    int64_t          view_at;       /* ms */
} worker_seat_t;


typedef struct {
    char             id[EXAM_EXAM_MAX + 1];
    bool             wanted;        /* in exam:active, of this tick */
    bool             ours;          /* the lease */
    bool             viewed;        /* views are those of MySQL */
    int64_t          since;         /* ms: flushes before count for nothing */
    int64_t          load_at;       /* monotonic ms of the next full look */
    int64_t          trim_at;
    int64_t          over_at;
    char             last[WORKER_ENTRY_MAX];    /* read of `changes` */

    exam_state_e     state;
    int64_t          ends_at;       /* ms, without pauses */
    int64_t          pause_ms;
    int64_t          paused_at;

    worker_seat_t   *seats;
    size_t           nseats;
    size_t           maxseats;
    uint32_t        *index;         /* by student: place + 1, 0 free */
    size_t           slots;         /* a power of two, over 2 * nseats */
} worker_exam_t;


struct worker_watch_s {
    worker_t        *w;
    pthread_t        thread;
    _Atomic bool     stop;

    exam_redis_t     redis;
    exam_mysql_t     mysql;
    exam_backoff_t   backoff;       /* of MySQL */
    int64_t          db_at;         /* monotonic ms of the next try */
    exam_stmt_t      save;
    exam_stmt_t      save_one;
    exam_stmt_t      views;

    char             token[EXAM_LOADED_MAX];
    char             loaded[EXAM_LOADED_MAX];
    unsigned         connects;
    int64_t          since;         /* ms, of all exams */
    int64_t          late_ms;
    int64_t          offline_ms;

    worker_exam_t   *exams;
    size_t           nexams;
    size_t           maxexams;
    worker_node_t   *nodes;
    size_t           nnodes;
    size_t           maxnodes;
};


/*
 * worker_watch_exam.c: each false when Redis does not answer.  The settings;
 * the sessions, all or those that changed; beats of whom they may be news.
 */

EXAM_MUST_CHECK bool worker_exam_read(worker_watch_t *t, worker_exam_t *e);
EXAM_MUST_CHECK bool worker_exam_seats(worker_watch_t *t, worker_exam_t *e);
EXAM_MUST_CHECK bool worker_exam_seen(worker_watch_t *t, worker_exam_t *e);

/* closes an exam at its last own end, trims its control stream */

void worker_exam_chores(worker_watch_t *t, worker_exam_t *e);

/* is anybody to be declared?  open, or closed before the late deadline */

bool worker_exam_live(const worker_exam_t *e);

/* NULL: no session of the student was ever seen */

worker_seat_t *worker_exam_find(worker_exam_t *e, exam_str_t student);
void worker_exam_free(worker_exam_t *e);


/* worker_watch_node.c */

/* its place, a new one when it was not known; -1: no memory */

int worker_node_place(worker_watch_t *t, exam_str_t name);

/* false: Redis does not answer */

EXAM_MUST_CHECK bool worker_node_read(worker_watch_t *t);

/* has flushed since the last doubt about this exam */

bool worker_node_ready(const worker_watch_t *t, const worker_exam_t *e,
    const worker_node_t *n);

/* has said nothing for as long as makes a candidate offline */

bool worker_node_silent(const worker_watch_t *t, const worker_node_t *n);

/* the moment up to which it can tell, ms of its clock */

int64_t worker_node_told(const worker_node_t *n);


/* worker_watch_view.c: false when Redis does not answer or the lease is gone */

EXAM_MUST_CHECK bool worker_view_tick(worker_watch_t *t, worker_exam_t *e);


/* worker_watch_db.c */

/* connected, false: away, or its turn to be tried has not come */

bool worker_watch_db(worker_watch_t *t);
void worker_watch_db_failed(worker_watch_t *t);
void worker_view_load(worker_watch_t *t, worker_exam_t *e);
void worker_view_save(worker_watch_t *t, worker_exam_t *e);

const char *worker_view_name(worker_view_e view);


#endif /* WORKER_WATCH_H_INCLUDED */
