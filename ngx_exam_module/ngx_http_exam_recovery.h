
/*
 * What a crash may have left in the spool (DESIGN 6).  Blocks, so it runs in a
 * thread of the upload pool, one call at a time for a structure; no nginx in
 * it.
 *
 * The owner of a part file holds an OFD lock on it until its upload is named
 * and synced, or removed: who gets that lock knows the owner dead.
 */


#ifndef NGX_HTTP_EXAM_RECOVERY_H_INCLUDED
#define NGX_HTTP_EXAM_RECOVERY_H_INCLUDED


#include <dirent.h>
#include <time.h>

#include "../core/exam_manifest.h"


#define NGX_HTTP_EXAM_RECOVERY_BATCH  8
#define NGX_HTTP_EXAM_RECOVERY_LOCK   "recovery.lock"   /* in the spool */


/*
 * One that waits for the worker, or for the rest of its bytes, or its end; of
 * _run() one whose end is to be told.
 */

typedef struct {
    exam_manifest_t  manifest;
    time_t           touched;   /* when bytes or manifest were written last */
    int              waits;     /* for the worker: it is complete */
    char             id[EXAM_UPLOAD_MAX];
    uint8_t          arena[EXAM_MANIFEST_ARENA];
} ngx_http_exam_found_t;


typedef struct {
    int              spool;     /* directory, set by the caller */
    int              ready;
    exam_str_t       boot;      /* the one that runs */
    time_t           expire;    /* s, of an incomplete upload; 0: never */
    time_t           forget;    /* s, of a tombstone */

    unsigned         finished;  /* uploads whose commit mark was set */
    unsigned         removed;   /* files that nobody had acknowledged */
    unsigned         expired;   /* incomplete uploads */
    unsigned         damaged;   /* manifests that the worker is to put aside */
    int              error;     /* errno of the last call that failed, 0 */
    const char      *call;
    char             name[EXAM_SPOOL_NAME_MAX];     /* of the file */

    unsigned         nfound;
    ngx_http_exam_found_t  found[NGX_HTTP_EXAM_RECOVERY_BATCH];

    DIR             *dir;       /* of the threads alone */
    unsigned         place;
    int              lock;      /* of _run(); -1 at first */
} ngx_http_exam_recovery_t;


/*
 * Finishes what has a final manifest, removes what has none, sweeps parts of
 * dead owners; of those that can be resumed what has expired.  What is finished
 * or has expired is in found[]; single files that could not be handled are told
 * by error, call and name and left for the next time.
 */

typedef enum {
    NGX_HTTP_EXAM_RECOVERY_DONE = 0,
    NGX_HTTP_EXAM_RECOVERY_MORE,    /* to be called again, or _close */
    NGX_HTTP_EXAM_RECOVERY_BUSY     /* another process does so now */
} ngx_http_exam_recovery_e;

ngx_http_exam_recovery_e ngx_http_exam_recovery_run(
    ngx_http_exam_recovery_t *rec);

/*
 * The next manifests of part/, ready/ and work/, at most a batch; 0 when there
 * are no more.  To be called until then, or _close.  They move on in this
 * order: one that does so meanwhile is met, maybe twice.
 */

unsigned ngx_http_exam_recovery_next(ngx_http_exam_recovery_t *rec);

void ngx_http_exam_recovery_close(ngx_http_exam_recovery_t *rec);


#endif /* NGX_HTTP_EXAM_RECOVERY_H_INCLUDED */
