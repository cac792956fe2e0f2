
/*
 * The journals of the spool taken over into MySQL (DESIGN 6, 7), by one thread
 * with connections of its own: uploads that wait for the disk do not hold up
 * events, and a journal of hours does not hold up uploads.
 *
 *   worker_journal.c         the thread: whose turn it is, what fails
 *   worker_journal_files.c   the folder: sizes, order, what is old goes
 *   worker_journal_read.c    bytes -> records; torn, damaged, refused lines
 *   worker_journal_rows.c    records -> rows, with the position
 *   worker_journal_lost.c    what clients gave up: told to Redis
 *
 * Invariant: a position is committed with the rows of the bytes before it, and
 * never without.  Every row is an upsert that may be repeated and come in any
 * order, so whatever is in doubt is simply read again.
 */


#ifndef WORKER_JOURNAL_H_INCLUDED
#define WORKER_JOURNAL_H_INCLUDED


#include "exam_journal.h"
#include "worker.h"


#define WORKER_JOURNAL         "journal"
#define WORKER_JOURNAL_BATCH   512      /* records a transaction */
#define WORKER_JOURNAL_BUFFER  (256 * 1024)
#define WORKER_JOURNAL_ARENA   (4 * 1024 * 1024)
#define WORKER_JOURNAL_LOOK    500      /* ms between looks at the sizes */
#define WORKER_JOURNAL_TORN    5000     /* ms that a write may take */
#define WORKER_JOURNAL_BAD     1000     /* lines kept in bad/ */
#define WORKER_JOURNAL_SIZES   5        /* 256, 64, 16, 4, 1 rows */


typedef enum {
    WORKER_TABLE_SESSIONS = 0,
    WORKER_TABLE_PRESENCE,
    WORKER_TABLE_GAPS,
    WORKER_TABLE_OUTAGES,
    WORKER_TABLE_DELIVERIES,
    WORKER_TABLE_EVENTS,
    WORKER_TABLE_LOST,
    WORKER_TABLES
} worker_table_e;


typedef struct {
    char             name[EXAM_JOURNAL_NAME_MAX];
    pid_t            pid;
    bool             boot;          /* of the boot that runs now */
    bool             seen;          /* by the look under way */
    bool             shrunk;        /* said so */
    int64_t          position;      /* bytes taken over */
    int64_t          size;
    int64_t          waits;         /* size at which a torn end was seen */
    int64_t          mtime;         /* ms */
} worker_journal_file_t;


typedef struct {
    exam_record_t    r;             /* strings: arena and buffer */
    exam_str_t       line;
    int64_t          offset;        /* of the line in its file */
    bool             refused;       /* by the table */
    char             sid[EXAM_SID_HEX + 1];
} worker_record_t;


/* what one read of a file gave */

typedef struct {
    worker_journal_file_t  *file;
    int64_t                 next;   /* position behind it */
    size_t                  n;
    unsigned                damaged;
    unsigned                unknown;        /* whole, but no record of ours */
    unsigned                refused;        /* those, and by the tables */
    int64_t                 damaged_at;     /* the first one's offset */
    worker_record_t         records[WORKER_JOURNAL_BATCH];
} worker_journal_batch_t;


struct worker_journal_s {
    worker_t               *w;
    pthread_t               thread;
    bool                    started;
    _Atomic bool            stop;

    exam_mysql_t            mysql;
    exam_redis_t            redis;
    exam_backoff_t          backoff;
    unsigned                epoch;  /* of the connection positions are from */
    bool                    away;   /* MySQL, said so */

    worker_journal_file_t  *files;  /* one each in the folder, oldest first */
    size_t                  nfiles;
    size_t                  maxfiles;
    bool                    unknown;        /* there are new ones */
    int64_t                 look_at;        /* monotonic ms */

    worker_journal_batch_t  batch;
    uint8_t                *buffer;
    uint8_t                *arena;
    int                     kept;   /* lines in bad/, -1 not counted yet */

    exam_stmt_t             rows[WORKER_TABLES][WORKER_JOURNAL_SIZES];
    exam_stmt_t             position;
    exam_stmt_t             positions;
    exam_stmt_t             forget;
    exam_stmt_t             lost;

    bool                    unsettled;      /* lost segments for Redis */
    int64_t                 settle_at;      /* monotonic ms of the next try */
    char                    loaded[EXAM_LOADED_MAX];
};


/* worker_journal_files.c */

/* the folder again: new files, sizes, files that are gone; sorted */

void worker_journal_look(worker_journal_t *j);

/* the positions of all files from the table */

EXAM_MUST_CHECK exam_db_e worker_journal_positions(worker_journal_t *j);

/* removes what was taken over long ago */

EXAM_MUST_CHECK exam_db_e worker_journal_retire(worker_journal_t *j);

/*
 * May the line that it ends in become whole?  A process that cannot be seen
 * from here, in another container, is writing while the file is young.
 */

bool worker_journal_writing(const worker_journal_file_t *f);


/*
 * worker_journal_read.c: fills j->batch from its file's position on.  False:
 * there is nothing to take over, or the file cannot be read.
 */

bool worker_journal_read(worker_journal_t *j, worker_journal_file_t *f);

/* a line that no table takes is kept in bad/ */

void worker_journal_refuse(worker_journal_t *j,
    const worker_journal_file_t *f, int64_t offset, exam_str_t line,
    const char *why);


/* worker_journal_rows.c: rows and position of j->batch, one transaction */

EXAM_MUST_CHECK exam_db_e worker_journal_rows(worker_journal_t *j);
void worker_journal_rows_close(worker_journal_t *j);


/* worker_journal_lost.c */

/* those of a committed batch, at once */

void worker_journal_settle(worker_journal_t *j);

/* all of them, after Redis was away or filled again, and at the start */

void worker_journal_settle_again(worker_journal_t *j);


#endif /* WORKER_JOURNAL_H_INCLUDED */
