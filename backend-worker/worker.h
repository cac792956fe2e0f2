
/*
 * exam-worker: moves finished uploads from the spool to the store and to MySQL
 * (DESIGN 6, "Worker").  One process a spool, held by flock; one thread runs
 * everything of uploads in batches, helped by a pool that does the work on
 * files; one thread takes the journals over, one watches presence, one reports
 * figures.
 *
 *   main.c            options, signals, lock, start and end
 *   worker_loop.c     what comes when: tick, gather, batch
 *   worker_stream.c   the doorbell            worker_scan.c    the spool itself
 *   worker_batch.c    one batch, step by step
 *   worker_claim.c    ready/ -> work/         worker_verify.c  size, hash, bad/
 *   worker_probe.c    what is in the file     worker_store.c   recordings/
 *   worker_sidecar.c  the record beside it    worker_db.c      the table
 *   worker_ledger.c   Redis learns it         worker_live.c    Redis refilled
 *   worker_command.c  commands announced, deliveries expired
 *   worker_refused.c  what lies in bad/ is asked for again
 *   worker_recheck.c  side-cars against the table
 *   worker_journal.c  the journals            worker_watch.c   who is late
 *
 * The order of the steps is the safety: whatever moment the process ends at,
 * what is left in the spool says what is to be done again, and doing a step
 * again changes nothing.
 */


#ifndef WORKER_H_INCLUDED
#define WORKER_H_INCLUDED


#include "exam_backoff.h"
#include "exam_conf.h"
#include "exam_file.h"
#include "exam_live.h"
#include "exam_log.h"
#include "exam_manifest.h"
#include "exam_mysql.h"
#include "exam_redis.h"
#include "exam_redis_row.h"
#include "exam_sha256.h"
#include "exam_sidecar.h"
#include "exam_time.h"
#include "worker_probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>


#define WORKER_BATCH         256    /* uploads a transaction */
#define WORKER_ACKS          (WORKER_BATCH * 2)
#define WORKER_BUFFER        (256 * 1024)       /* bytes a thread */
#define WORKER_SAMPLE        16     /* one of so many is hashed */
#define WORKER_PATH_MAX      EXAM_STORE_PATH_MAX
#define WORKER_ARENA         EXAM_MANIFEST_ARENA
#define WORKER_ENTRY_MAX     44     /* a stream id: two 64-bit numbers */

#define WORKER_SCAN_IDLE     30000  /* ms between scans while the doorbell */
#define WORKER_SCAN_AWAY     1000   /* rings, and while Redis is away */
#define WORKER_BLOCK         200    /* ms an XREADGROUP waits */
#define WORKER_SWEEP         60000  /* ms between XAUTOCLAIM sweeps */
#define WORKER_LOADED        1000   /* ms between looks at exam:loaded */
#define WORKER_SYNC          5000   /* ms between warm-ups of rosters */
#define WORKER_EXPIRE        5000   /* ms between looks at deliveries */
#define WORKER_EXPIRE_AGAIN  60000  /* ms that a transaction may have taken */
#define WORKER_SETTLE_AGAIN  600000 /* ms of rows settled anew at the start */
#define WORKER_REDIS_TAIL    60000  /* ms that Redis may have forgotten */
#define WORKER_RECHECK       3600000            /* ms of side-cars */
#define WORKER_FIGURES       2000   /* ms */
#define WORKER_FIGURES_TTL   15     /* s */


typedef enum {
    WORKER_NEW = 0,                 /* an id, nothing else is known */
    WORKER_CLAIMED,                 /* manifest in work/, read */
    WORKER_VERIFIED,                /* size and, if asked for, hash are right */
    WORKER_FILED,                   /* file and side-car are in the store */
    WORKER_MISSING,                 /* manifest without file: the table knows */
    WORKER_GONE,                    /* doorbell without manifest: likewise */
    WORKER_STORED,                  /* the row is committed */
    WORKER_DOUBLE,                  /* the table has it by another upload */
    WORKER_BAD,                     /* to bad/: item->reason */
    WORKER_REFUSED,                 /* in bad/, to be asked for again */
    WORKER_DONE,                    /* nothing to settle, only to acknowledge */
    WORKER_FAILED                   /* stays in work/, the next scan has it */
} worker_state_e;


typedef enum {
    WORKER_AT_READY = 0,
    WORKER_AT_STORE,
    WORKER_AT_BAD
} worker_place_e;


typedef struct {
    char             id[EXAM_UPLOAD_MAX + 1];
    worker_state_e   state;
    worker_state_e   outcome;       /* of a transaction not committed yet */
    worker_place_e   place;         /* of the file */
    bool             redo;          /* work/ had it already */
    bool             disk;          /* failed by the disk, not by itself */
    bool             copied;        /* to another filesystem, also in ready/ */
    bool             made_dir;
    bool             wanted;        /* a look-up of this id is under way */
    bool             parsed;        /* m is set */
    bool             whole;         /* and names a finished upload */
    int              fd;            /* open file for the probe, -1 */
    uint32_t         variant;
    uint32_t         noted;         /* the variant that its side-car tells */
    int64_t          stored_at;     /* ms */
    int64_t          found_bytes;   /* of the file, -1 unknown */
    bool             found_hash;
    uint8_t          found_sha256[EXAM_HASH_LEN];
    const char      *reason;        /* static: why bad */
    exam_manifest_t  m;             /* points into the arena below */
    char             sid[EXAM_SID_HEX + 1];
    char             dir[WORKER_PATH_MAX];          /* <exam>/<student> */
    char             path[WORKER_PATH_MAX];
    char             sidecar[WORKER_PATH_MAX];
    char             kept_id[EXAM_UPLOAD_MAX + 1];  /* whose row it is */
    char             kept_node[EXAM_NODE_MAX + 1];
    exam_media_t   media;
    size_t           raw_len;

    /* from here on not cleared for a new upload */

    uint8_t          raw[EXAM_MANIFEST_MAX + 1];    /* the manifest's bytes */
    uint8_t          arena[WORKER_ARENA];
} worker_item_t;


typedef struct {
    char             entry[WORKER_ENTRY_MAX];
    size_t           item;          /* acknowledged once that is settled */
} worker_ack_t;


typedef struct {
    size_t           n;
    worker_item_t    items[WORKER_BATCH];
    size_t           nacks;
    worker_ack_t     acks[WORKER_ACKS];
} worker_batch_t;


typedef void (*worker_task_pt)(void *data, size_t i, uint8_t *buffer);


typedef struct {
    pthread_mutex_t  mutex;
    pthread_cond_t   start;
    pthread_cond_t   end;
    unsigned         nthreads;
    pthread_t        threads[EXAM_THREADS_MAX];
    uint8_t         *buffers[EXAM_THREADS_MAX];
    unsigned         next_buffer;
    worker_task_pt   task;          /* below: under the mutex */
    void            *data;
    size_t           n;
    size_t           next;
    size_t           busy;
    bool             stop;
} worker_pool_t;


typedef enum {
    WORKER_SCAN_NONE = 0,
    WORKER_SCAN_WORK,
    WORKER_SCAN_READY
} worker_scan_e;


typedef struct {
    worker_scan_e    phase;
    DIR             *dir;
    int64_t          due;           /* monotonic ms of the next one */
} worker_scan_t;


typedef struct {
    char             key[EXAM_KEY_MAX];
    char             cursor[WORKER_ENTRY_MAX];
    bool             sweeping;      /* XAUTOCLAIM has not come to its end */
    int64_t          min_idle;      /* ms, of the sweep */
    int64_t          sweep_at;      /* monotonic ms of the next one */
    unsigned         connects;      /* of the connection that was greeted */
} worker_stream_t;


typedef enum {
    WORKER_RUNNING = 0,
    WORKER_WAITING,                 /* for MySQL or the disk */
    WORKER_DRAINING
} worker_mode_e;


/* written by the threads that work, read by the one that reports */

typedef struct {
    _Atomic int      mode;          /* worker_mode_e */
    _Atomic int64_t  oldest;        /* received_at of what is in work, 0 */
    _Atomic int64_t  processing_ms; /* of the last batch */
    _Atomic int64_t  stored;
    _Atomic int64_t  failed;
    _Atomic int64_t  journal_lag;           /* bytes not taken over */
    _Atomic int64_t  journal_records;
    _Atomic int64_t  journal_refused;       /* by the tables */
    _Atomic int64_t  journal_damaged;       /* lines with a wrong CRC */
    _Atomic int64_t  watched;               /* exams whose watch is ours */
    _Atomic int64_t  watch_us;              /* of its last tick */
    _Atomic bool     stop;
    bool             started;
    pthread_t        thread;
} worker_figures_t;


typedef struct {
    exam_stmt_t      insert[5];     /* 256, 64, 16, 4 and 1 rows */
    exam_stmt_t      find;          /* by upload ids */
    exam_stmt_t      same;          /* by segment */
    exam_stmt_t      since;         /* by time of storing */
    char             identity[EXAM_DB_IDENTITY_MAX];
    unsigned         epoch;
    exam_backoff_t   backoff;
    bool             away;
    bool             recheck;       /* another server, or the first one */
} worker_db_t;


typedef struct worker_journal_s  worker_journal_t;
typedef struct worker_watch_s  worker_watch_t;


typedef struct {
    exam_conf_t       conf;
    exam_str_t        node;
    char              boot_id[EXAM_BOOT_MAX + 1];
    int               lock;
    int               spool;        /* directories */
    int               store;
    bool              once;
    exam_mysql_t      mysql;
    exam_redis_t      redis;
    worker_db_t       db;
    worker_probe_t    probe;
    worker_pool_t     pool;
    worker_scan_t     scan;
    worker_stream_t   stream;
    worker_figures_t  figures;
    worker_journal_t *journal;      /* NULL: not started */
    worker_watch_t   *watch;        /* likewise */
    worker_batch_t    batch;
    exam_backoff_t    disk;         /* while nothing can be stored */
    char              loaded[EXAM_LOADED_MAX];
    unsigned          connects;     /* of the Redis that `loaded` is from */
    int64_t           loaded_at;    /* monotonic ms of the next look */
    int64_t           sync_at;
    int64_t           announced;    /* wall clock ms: to be told again since
                                       then, 0 nothing */
    int64_t           expire_at;    /* monotonic ms of the next look */
    int64_t           expired;      /* wall clock ms: done until then */
    int64_t           unsettled;    /* stored_at of the oldest, 0 = none */
    bool              marked;       /* the spool says so too */
} worker_t;


/* main.c, set by signal handlers (lock-free): leave; reopen the log */

extern atomic_int  worker_quit;
extern atomic_int  worker_reopen;


/* worker_loop.c: false when it is time to leave; sleeps at most ms */

bool worker_pause(worker_t *w, int64_t ms);

/* until SIGTERM, or with `once` until nothing is left; 0 or -1 */

int worker_loop(worker_t *w);


/* worker_pool.c: task(data, 0..n-1, buffer), returns when all are done */

EXAM_MUST_CHECK int worker_pool_start(worker_pool_t *pool, unsigned threads);
void worker_pool_run(worker_pool_t *pool, worker_task_pt task, void *data,
    size_t n);
void worker_pool_stop(worker_pool_t *pool);


/*
 * worker_stream.c: adds doorbell entries to the batch, waiting up to block_ms
 * (0: not at all) for the first.  AWAY: Redis does not answer.
 */

void worker_stream_init(worker_t *w);
exam_redis_e worker_stream_fill(worker_t *w, unsigned block_ms);
exam_redis_e worker_stream_ack(worker_t *w);


/* worker_scan.c: false once a scan has come to its end */

bool worker_scan_fill(worker_t *w);
void worker_scan_begin(worker_t *w);
void worker_scan_close(worker_t *w);

/* calls back with each upload id that has a manifest in the folder */

typedef bool (*worker_scan_pt)(void *data, const char *id);

EXAM_MUST_CHECK int worker_scan_each(worker_t *w, const char *folder,
    worker_scan_pt callback, void *data);


/* worker_batch.c: the item of that id, made when there is none; NULL: full */

worker_item_t *worker_batch_add(worker_batch_t *b, exam_str_t id);
void worker_batch_reset(worker_batch_t *b);
void worker_batch_run(worker_t *w);


/* worker_claim.c: NEW -> CLAIMED, GONE, BAD or FAILED */

void worker_claim(worker_t *w, worker_item_t *item);

/* reads a manifest of the spool without claiming it; false: unusable */

bool worker_claim_read(worker_t *w, exam_spool_e what, worker_item_t *item);
bool worker_claim_names(worker_item_t *item);
bool worker_claim_release(worker_t *w, const worker_item_t *item);


/* worker_verify.c: CLAIMED -> VERIFIED, MISSING, BAD or FAILED; pool thread */

void worker_verify(void *data, size_t i, uint8_t *buffer);

/* BAD -> REFUSED, DONE or FAILED */

void worker_bad(worker_t *w, worker_item_t *item);


/* worker_store.c: VERIFIED -> FILED, BAD or FAILED; pool thread */

void worker_store(void *data, size_t i, uint8_t *buffer);

/* syncs each touched folder once; those that fail take their items along */

void worker_store_sync(worker_t *w);

/* removes the second file of a double, durably; -1: not, logged */

int worker_store_remove(worker_t *w, const worker_item_t *item);


/* writes the side-car anew with the variant the row was given; 0 or -1 */

EXAM_MUST_CHECK int worker_store_note(worker_t *w, worker_item_t *item);


/* worker_sidecar.c: the row of an item, which must outlive *r */

void worker_sidecar_row(const worker_item_t *item, exam_recording_t *r);

/* fills an item that has only an id; false: unusable, or of another upload */

bool worker_sidecar_load(worker_item_t *item, int fd, const char *name);

/* the side-car that an earlier run left below `fd`; false: to be written */

bool worker_sidecar_kept(worker_item_t *item, int fd);


/*
 * worker_db.c: MISSING, GONE, FILED -> STORED, DOUBLE, DONE, BAD or FAILED.
 * Waits for MySQL as long as it takes; false when it is time to leave.
 */

bool worker_db_batch(worker_t *w, worker_batch_t *b);

/* one transaction for all FILED items; the results are in ->outcome */

EXAM_MUST_CHECK exam_db_e worker_db_rows(worker_t *w, worker_batch_t *b);

/* connects; false: away */

bool worker_db_up(worker_t *w);
bool worker_db_trouble(worker_t *w, exam_db_e rc);
void worker_db_close(worker_t *w);

/* the columns 1 to 8 of our look-ups; m points into the fetched row */

bool worker_row_manifest(const exam_stmt_t *s, exam_manifest_t *m);

/* marks (wanted = false) the items whose upload id the table has */

EXAM_MUST_CHECK exam_db_e worker_db_find(worker_t *w, worker_batch_t *b);

/* worker_insert.c: within a transaction */

EXAM_MUST_CHECK exam_db_e worker_insert_batch(worker_t *w, worker_batch_t *b);
EXAM_MUST_CHECK exam_db_e worker_insert_same(worker_t *w, worker_item_t *item,
    uint32_t *next);


/* worker_ledger.c: STORED, DOUBLE, REFUSED become DONE once Redis knows it */

void worker_ledger_settle(worker_t *w, worker_batch_t *b);

/*
 * Tells one entry in the pipeline; a length of -1: no upload is known; reason:
 * why lost or refused, may be empty.
 */

exam_redis_e worker_ledger_append(exam_redis_t *redis,
    const exam_manifest_t *m, exam_seg_e state, exam_str_t node,
    exam_str_t upload, exam_str_t reason);

/* rows that were committed while Redis was away, or before a crash */

void worker_ledger_start(worker_t *w);
void worker_ledger_again(worker_t *w);

/* Redis may have forgotten what was settled since then */

void worker_ledger_doubt(worker_t *w, int64_t since);


/* worker_refused.c: exams whose ledger takes what lies in bad/ */

typedef struct {
    redisReply      *active;        /* exam:active */
} worker_refused_t;

exam_redis_e worker_refused_begin(worker_refused_t *r, exam_redis_t *redis);
void worker_refused_end(worker_refused_t *r);

/* the upload of a note in bad/; *appended false: nothing to tell */

exam_redis_e worker_refused_append(const worker_refused_t *r,
    exam_redis_t *redis, const worker_item_t *item, bool *appended);


/* worker_live.c: exam:loaded, refill, warm-up; needs MySQL and Redis */

void worker_live_tick(worker_t *w);

/* after a failure of which nobody said whether the connection still stands */

void worker_live_mysql(worker_t *w);


/*
 * worker_command.c: what MySQL has and the control stream has not, for when
 * Redis shows what MySQL has; deliveries whose command has expired
 */

void worker_command_announce(worker_t *w);
void worker_command_expire(worker_t *w);

/* Redis may have forgotten what was announced since then */

void worker_command_doubt(worker_t *w, int64_t since);


/* worker_recheck.c: the last hour's side-cars against the table */

void worker_recheck(worker_t *w);


/* worker_journal.c: a thread; `once`: all there is, in the caller's */

EXAM_MUST_CHECK int worker_journal_start(worker_t *w);
void worker_journal_stop(worker_t *w);
void worker_journal_once(worker_t *w);


/* worker_watch.c: a thread */

EXAM_MUST_CHECK int worker_watch_start(worker_t *w);
void worker_watch_stop(worker_t *w);


/* worker_figures.c */

EXAM_MUST_CHECK int worker_figures_start(worker_t *w);
void worker_figures_stop(worker_t *w);


#endif /* WORKER_H_INCLUDED */
