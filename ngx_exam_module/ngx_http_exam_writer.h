
/*
 * The disk side of one upload: part file, hash, finish sequence (DESIGN 6, 8).
 *
 * Everything here blocks and runs in a thread of the upload pool, one call at
 * a time for a writer; between calls the event loop may read and set what is
 * marked so.  No request, no nginx pool: a writer outlives its connection.
 */


#ifndef NGX_HTTP_EXAM_WRITER_H_INCLUDED
#define NGX_HTTP_EXAM_WRITER_H_INCLUDED


#include <time.h>

#include "../core/exam_checksum.h"
#include "../core/exam_manifest.h"
#include "ngx_http_exam_hasher.h"


#define NGX_HTTP_EXAM_WRITER_ALIGN  4096            /* of O_DIRECT */
#define NGX_HTTP_EXAM_WRITER_SYNC   (4 * 1024 * 1024)   /* bytes */
#define NGX_HTTP_EXAM_WRITER_SLICE  (8 * 1024 * 1024)   /* hashed at once */

/* of a part: that its size counts, unless a sync has begun and not succeeded */

#define NGX_HTTP_EXAM_WRITER_MODE    0600
#define NGX_HTTP_EXAM_WRITER_UNSURE  0100


/* how far the names have come; decides what a removal has to remove */

typedef enum {
    NGX_HTTP_EXAM_WRITER_NONE = 0,
    NGX_HTTP_EXAM_WRITER_PART,          /* part/.part */
    NGX_HTTP_EXAM_WRITER_INFO,          /* and a final part/.info */
    NGX_HTTP_EXAM_WRITER_REC,           /* ready/.rec and part/.info */
    NGX_HTTP_EXAM_WRITER_MARKED         /* ready/.info: never removed */
} ngx_http_exam_writer_stage_e;


typedef struct {

    /* set by the event loop before the call that needs it */

    int                            spool;   /* directory, for openat() */
    int                            ready;   /* directory, for fsync() */
    int64_t                        length;  /* bytes to come, -1 not known */
    exam_manifest_t                manifest;

    /* its blocks are what _write appends */

    ngx_http_exam_hasher_t           hash;

    /* the same, of resumable uploads */

    int                            resumable;
    exam_str_t                     boot;    /* the one that runs */
    time_t                         expire;  /* s, 0: never */
    uint8_t                       *arena;   /* EXAM_MANIFEST_ARENA bytes */
    int                            has_check;
    exam_tus_checksum_t            check;   /* of the append to come */
    int                            whole;   /* its end is the upload's end */

    /* read by the event loop after a call */

    int                            error;   /* errno of the failed call, or 0 */
    const char                    *call;    /* its name, for the log */
    int                            unreserved;  /* no fallocate() here */
    uint64_t                       write_us[NGX_HTTP_EXAM_HASHER_BLOCKS];
    unsigned                       nwrites;     /* by the last _write */
    uint64_t                       sync_us;     /* of the fdatasync */
    uint8_t                        sha256[EXAM_HASH_LEN];   /* after _last */
    int                            check_ok;    /* after _last */
    int64_t                        offset;  /* bytes written */
    exam_gone_e                    gone;    /* of the tombstone found */
    int                            expired; /* it was made on the way */
    int                            finished;    /* complete, in ready/ */

    /* of the threads alone */

    int                            fd;
    int                            direct;  /* O_DIRECT is set */
    int                            want_direct;
    ngx_http_exam_writer_stage_e   stage;
    int64_t                        flushed; /* bytes told to write back */
    int64_t                        hashed;  /* bytes that are hashed */

    int64_t                        start;   /* where the append began */
    exam_checksum_t                sum;     /* of the append */
    int                            summing;
    int                            atomic;  /* goes back unless told */
    int                            torn;    /* a write has failed */
    int                            lost;    /* a sync has failed */
    time_t                         info_time;   /* when .info was written */
    int64_t                        info_offset; /* what .info says */
    int64_t                        info_length;
    int                            info_checked;
    int                            info_boot;   /* this boot's */
    int                            synced;  /* and its directory */
    int                            unnamed; /* a sync of that has failed */
    int                            sealed;  /* .info is final */
} ngx_http_exam_writer_t;


/* memory only; the manifest must name the upload's id before _open */

void ngx_http_exam_writer_init(ngx_http_exam_writer_t *w);

/*
 * The functions below return 0, or -1 with `error` and `call` set.
 *
 * _open makes the part file, takes the OFD lock that tells a living owner, and
 * reserves `length` bytes: ENOSPC before a byte was asked for.
 */

int ngx_http_exam_writer_open(ngx_http_exam_writer_t *w);

/*
 * Appends the blocks of `hash`, and hashes them.  O_DIRECT is in use where
 * offset and length are multiples of _ALIGN.
 */

int ngx_http_exam_writer_write(ngx_http_exam_writer_t *w);

/*
 * No more data: check_ok, and of an upload that is whole sha256, are set.  1:
 * to be called again, a slice of what is not hashed yet has been read.
 */

int ngx_http_exam_writer_last(ngx_http_exam_writer_t *w);

/*
 * The finish sequence.  The manifest must be complete.  When it fails before
 * the commit mark, _remove is to follow; after it nothing can be taken back.
 */

int ngx_http_exam_writer_finish(ngx_http_exam_writer_t *w);

/* removes what is not marked, and closes */

int ngx_http_exam_writer_remove(ngx_http_exam_writer_t *w);


/* an exclusive OFD lock, not waited for: 0, or -1 and errno */

int ngx_http_exam_writer_lock(int fd, int wait);

/* drops it; memory only */

int ngx_http_exam_writer_unlock(int fd);

/* monotonic */

uint64_t ngx_http_exam_writer_clock_us(void);

/* internal, for ngx_http_exam_part.c: each sets error and call */

int ngx_http_exam_writer_create(ngx_http_exam_writer_t *w);
int ngx_http_exam_writer_reserve(ngx_http_exam_writer_t *w, int64_t length);
int ngx_http_exam_writer_sync(ngx_http_exam_writer_t *w);
int ngx_http_exam_writer_info(ngx_http_exam_writer_t *w);
int ngx_http_exam_writer_file(ngx_http_exam_writer_t *w, const uint8_t *data,
    size_t len);
int ngx_http_exam_writer_rename(ngx_http_exam_writer_t *w, exam_spool_e from,
    exam_spool_e to);
int ngx_http_exam_writer_unlink(ngx_http_exam_writer_t *w, exam_spool_e what);
int ngx_http_exam_writer_failed(ngx_http_exam_writer_t *w, const char *call);


/* once a thread: the event loop must not compete with hashing for the CPU */

void ngx_http_exam_writer_nice(void);


#endif /* NGX_HTTP_EXAM_WRITER_H_INCLUDED */
