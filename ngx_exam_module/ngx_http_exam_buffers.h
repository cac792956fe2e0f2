
/*
 * The buffers between sockets and writer threads: one pool a worker process,
 * event loop only.  Uploads hold buffers only while these carry data, so the
 * memory follows what is in flight, not the number of connections.
 */


#ifndef NGX_HTTP_EXAM_BUFFERS_H_INCLUDED
#define NGX_HTTP_EXAM_BUFFERS_H_INCLUDED


#include <ngx_config.h>
#include <ngx_core.h>


/* one recv fills a whole buffer, so its size is also what a heartbeat waits */

#define NGX_HTTP_EXAM_BUFFER_SIZE  (256 * 1024)


typedef struct ngx_http_exam_buffer_s  ngx_http_exam_buffer_t;

struct ngx_http_exam_buffer_s {
    ngx_http_exam_buffer_t        *next;    /* the holder's */
    u_char                        *data;    /* aligned to a page */
    size_t                         len;     /* bytes in it */
};


/* empty; NULL: out of memory */

ngx_http_exam_buffer_t *ngx_http_exam_buffer_get(void);

void ngx_http_exam_buffer_put(ngx_http_exam_buffer_t *b);

/* in exit_process */

void ngx_http_exam_buffers_exit(void);


#endif /* NGX_HTTP_EXAM_BUFFERS_H_INCLUDED */
