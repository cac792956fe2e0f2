
/*
 * Room on the spool's disk: sampled in the background, so that an upload which
 * would not fit is refused before its body is asked for (DESIGN 4, 8).  Event
 * loop only, one object a worker process.
 */


#ifndef NGX_HTTP_EXAM_DISK_H_INCLUDED
#define NGX_HTTP_EXAM_DISK_H_INCLUDED


#include "ngx_http_exam_module.h"


/* NGX_HTTP_EXAM_UNKNOWN where not known */

typedef struct {
    int64_t      free;              /* bytes, to who is not root */
    int64_t      total;
    int64_t      inodes;            /* free; unknown where there is no limit */
    int64_t      full_at;           /* Unix ms, of the mark */
    unsigned     low:1;             /* new uploads are refused */
    unsigned     soon:1;            /* or will be: a person has to act */
} ngx_http_exam_disk_t;


extern ngx_http_exam_disk_t  ngx_http_exam_disk;


ngx_int_t ngx_http_exam_disk_init(ngx_cycle_t *cycle);
void ngx_http_exam_disk_exit(ngx_cycle_t *cycle);

/*
 * May an upload of `length` bytes (-1: not known) begin?  EXAM_OK, or
 * EXAM_ERR_DISK_FULL.  What it answers is as old as the last sample, a second:
 * fallocate() has the last word.
 */

exam_err_e ngx_http_exam_disk_admit(ngx_http_exam_main_conf_t *mcf,
    int64_t length);


#endif /* NGX_HTTP_EXAM_DISK_H_INCLUDED */
