
/*
 * The disk side of one upload: part file, hash, finish sequence (DESIGN 6, 8).
 *
 * Everything here blocks and runs in a thread of the upload pool, one call at
 * a time for a writer; between calls the event loop may read and set what is
 * marked so.  No request, no nginx pool: a writer outlives its connection.
 */


#ifndef NGX_HTTP_EXAM_WRITER_H_INCLUDED
#define NGX_HTTP_EXAM_WRITER_H_INCLUDED


#include "../core/exam_manifest.h"
#include "../core/exam_sha256.h"
#include "../core/exam_tus.h"


#define NGX_HTTP_EXAM_WRITER_ALIGN  4096            /* of O_DIRECT */
#define NGX_HTTP_EXAM_WRITER_SYNC   (4 * 1024 * 1024)   /* bytes */


/* how far the names have come; decides what a removal has to remove */

typedef enum {
    NGX_HTTP_EXAM_WRITER_NONE = 0,
    NGX_HTTP_EXAM_WRITER_PART,          /* part/.part */
    NGX_HTTP_EXAM_WRITER_INFO,          /* and a final part/.info */
    NGX_HTTP_EXAM_WRITER_REC,           /* ready/.rec and part/.info */
    NGX_HTTP_EXAM_WRITER_MARKED         /* ready/.info: never removed */
} ngx_http_exam_writer_stage_e;


typedef struct {
    const uint8_t                 *data;
    size_t                         len;
} ngx_http_exam_writer_block_t;


typedef struct {

    /* set by the event loop before the call that needs it */

    int                            spool;   /* directory, for openat() */
    int                            ready;   /* directory, for fsync() */
    int64_t                        length;  /* bytes to come, -1 not known */
    exam_manifest_t                manifest;
    int                            has_check;
    exam_tus_checksum_t            check;   /* of the append to come */
    int                            whole;   /* its end is the upload's end */

    /* read by the event loop after a call */

    int                            error;   /* errno of the failed call, or 0 */
    const char                    *call;    /* its name, for the log */
    int                            unreserved;  /* no fallocate() here */
    uint64_t                       write_us;    /* of the last write */
    uint64_t                       sync_us;     /* of the fdatasync */
    uint8_t                        sha256[EXAM_HASH_LEN];   /* after _last */
    int                            check_ok;    /* after _last */
    int64_t                        offset;  /* bytes written */
    int64_t                        hashed;  /* of them: in sha256 */

    /* of the threads alone */

    int                            fd;
    int                            direct;  /* O_DIRECT is set */
    ngx_http_exam_writer_stage_e   stage;
    int64_t                        flushed; /* of them told to write back */
    exam_sha256_t                  hash;
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

/* appends and hashes; all blocks but the last have multiples of _ALIGN bytes */

int ngx_http_exam_writer_write(ngx_http_exam_writer_t *w,
    const ngx_http_exam_writer_block_t *block);

/* no more data: sha256 is set */

void ngx_http_exam_writer_last(ngx_http_exam_writer_t *w);

/*
 * The finish sequence.  The manifest must be complete.  When it fails before
 * the commit mark, _remove is to follow; after it nothing can be taken back.
 */

int ngx_http_exam_writer_finish(ngx_http_exam_writer_t *w);

/* removes what is not marked, and closes */

int ngx_http_exam_writer_remove(ngx_http_exam_writer_t *w);


/* an exclusive OFD lock, not waited for: 0, or -1 and errno */

int ngx_http_exam_writer_lock(int fd, int wait);

/* monotonic */

uint64_t ngx_http_exam_writer_clock_us(void);

/* once a thread: the event loop must not compete with hashing for the CPU */

void ngx_http_exam_writer_nice(void);


#endif /* NGX_HTTP_EXAM_WRITER_H_INCLUDED */
