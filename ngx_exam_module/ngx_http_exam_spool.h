
/*
 * The spool as the module sees it: its directories, the node's boot, and the
 * recovery after a crash (DESIGN 6).
 */


#ifndef NGX_HTTP_EXAM_SPOOL_H_INCLUDED
#define NGX_HTTP_EXAM_SPOOL_H_INCLUDED


#include "ngx_http_exam_module.h"


/* of this worker process; descriptors are -1 while the spool cannot be used */

typedef struct {
    int                            dir;
    int                            ready;
    exam_str_t                     boot_id;
    ngx_uint_t                     exiting; /* no task may be posted any more */
} ngx_http_exam_spool_t;


extern ngx_http_exam_spool_t  ngx_http_exam_spool;


/*
 * init_module, in the master before the fork: makes what is missing and syncs
 * it, owned by the user of the worker processes.  NGX_ERROR at start only.
 */

ngx_int_t ngx_http_exam_spool_create(ngx_cycle_t *cycle);


#endif /* NGX_HTTP_EXAM_SPOOL_H_INCLUDED */
