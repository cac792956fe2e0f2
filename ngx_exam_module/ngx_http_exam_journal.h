
/*
 * The journal of this worker process: spool/journal/<boot>-<pid>-<n>.log
 * (DESIGN 6).  Records gather in memory while a task of the thread pool writes
 * and syncs those before them, so that one fdatasync serves all that came in
 * the meantime; a record with a handler starts a commit at once, one without
 * waits for company, 50 ms at most.  Event loop only.
 *
 * Invariants: a handler is called exactly once, with NGX_OK only after the
 * record's bytes are synced and its file is named in a synced directory; after
 * a failed write or sync a new file is begun, and what was not synced is
 * written there again; memory is bounded by NGX_HTTP_EXAM_JOURNAL_BUFFER.
 */


#ifndef NGX_HTTP_EXAM_JOURNAL_H_INCLUDED
#define NGX_HTTP_EXAM_JOURNAL_H_INCLUDED


#include "ngx_http_exam_module.h"
#include "../core/exam_journal.h"


#define NGX_HTTP_EXAM_JOURNAL_BUFFER  (1024 * 1024)     /* one of the two */


/* NGX_OK: synced; NGX_ABORT: no space; NGX_ERROR: the disk failed */

typedef void (*ngx_http_exam_journal_pt)(void *data, ngx_int_t rc);


ngx_int_t ngx_http_exam_journal_init(ngx_cycle_t *cycle);
void ngx_http_exam_journal_exit(ngx_cycle_t *cycle);

/*
 * Takes a copy of the record.  handler may be NULL: then the record is kept
 * and tried again until it is written.  NGX_OK; NGX_BUSY: the buffer is full,
 * handler is not called, journal_dropped_total has counted a record without
 * handler.  node is filled in.
 */

ngx_int_t ngx_http_exam_journal(const exam_record_t *r,
    ngx_http_exam_journal_pt handler, void *data);

/* events are refused: the spool is full and the reserve is being used */

ngx_uint_t ngx_http_exam_journal_full(void);


#endif /* NGX_HTTP_EXAM_JOURNAL_H_INCLUDED */
