
/*
 * The disk side of the journal (DESIGN 6): the file of one process and the
 * reserve of the node.
 *
 * Everything here blocks and runs in a thread, one call at a time for a file or
 * a reserve; the event loop reads the results between two calls.  No file with
 * a name is ever removed here but the reserve.
 */


#ifndef NGX_HTTP_EXAM_JOURNAL_FILE_H_INCLUDED
#define NGX_HTTP_EXAM_JOURNAL_FILE_H_INCLUDED


#include "../core/exam_journal.h"


#define NGX_HTTP_EXAM_JOURNAL_ROTATE  (64 * 1024 * 1024)    /* bytes */


typedef struct {

    /* set before the first call */

    const char         *path;       /* spool/journal */
    exam_str_t          boot;
    uint64_t            pid;

    /* read after a call */

    int                 error;      /* errno of the call that failed, or 0 */
    const char         *call;
    uint64_t            sync_us;
    int                 released;   /* errno that took the reserve, or 0 */

    /* of the threads alone; dir and fd are -1 at first */

    int                 dir;
    int                 fd;
    uint64_t            next;       /* number of the next file */
    int64_t             size;       /* of this one, synced */
} ngx_http_exam_journal_file_t;


typedef struct {

    /* set before a call */

    const char         *path;
    int64_t             size;       /* bytes; 0 = no reserve is kept */
    int                 missing;    /* it was given up */

    /* read after it */

    int                 error;
    const char         *call;
    int                 counted;    /* the file system cannot set room aside: */
                                    /* what is free is compared */
} ngx_http_exam_journal_reserve_t;


/*
 * Appends and syncs; what is the first of a file is in a synced directory, too.
 * A full disk is given the reserve, once.  -1: error and call tell why, and
 * nothing of these bytes counts; the next call begins a new file unless nothing
 * was written to this one.
 */

int ngx_http_exam_journal_file_write(ngx_http_exam_journal_file_t *f,
    const void *data, size_t len);

void ngx_http_exam_journal_file_close(ngx_http_exam_journal_file_t *f);

/*
 * Looks whether the reserve is there, else makes it.  0: it is; -1: it is not.
 * After it was given up there must be more room than it takes, so that who
 * needed it meanwhile gets it.
 */

int ngx_http_exam_journal_reserve_check(ngx_http_exam_journal_reserve_t *r);


#endif /* NGX_HTTP_EXAM_JOURNAL_FILE_H_INCLUDED */
