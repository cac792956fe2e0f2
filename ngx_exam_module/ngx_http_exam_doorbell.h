
/*
 * What is told of an acknowledged upload: the ledger and the worker's doorbell
 * (DESIGN 5).  Event loop; in the background, after the answer.
 */


#ifndef NGX_HTTP_EXAM_DOORBELL_H_INCLUDED
#define NGX_HTTP_EXAM_DOORBELL_H_INCLUDED


#include "ngx_http_exam_recordings.h"
#include "ngx_http_exam_upload.h"


/*
 * Settles the number as received and adds an entry to the node's stream;
 * references to u are taken.  What fails is counted only: the worker's scan of
 * the spool finds the upload.
 */

void ngx_http_exam_doorbell(ngx_http_exam_upload_t *u);

/*
 * The same of an upload that somebody else has left complete; m may go at once.
 */

void ngx_http_exam_doorbell_found(ngx_http_exam_main_conf_t *mcf,
    const exam_manifest_t *m);

/*
 * One row of the script: the manifest's number and upload in that state; return
 * codes of _redis_eval(), whose data outlives the answer.
 */

ngx_int_t ngx_http_exam_settle(const exam_manifest_t *m, const char *state,
    ngx_http_exam_redis_pt handler, void *data);


#endif /* NGX_HTTP_EXAM_DOORBELL_H_INCLUDED */
