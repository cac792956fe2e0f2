
/*
 * The buffers between sockets and writer threads: one pool a worker process,
 * event loop only.  Uploads hold buffers only while these carry data, so the
 * memory follows what is in flight, not the number of connections.
 */


#ifndef NGX_HTTP_EXAM_BUFFERS_H_INCLUDED
#define NGX_HTTP_EXAM_BUFFERS_H_INCLUDED


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


/*
 * One recv fills a whole buffer, so its size is also what a heartbeat waits.
 * Fast uploads get large ones, slow ones are long in filling one and get small
 * ones: 2,000 of them hold 64 MB.
 */

#define NGX_HTTP_EXAM_BUFFER_LARGE  (256 * 1024)
#define NGX_HTTP_EXAM_BUFFER_SMALL  (32 * 1024)


typedef enum {
    NGX_HTTP_EXAM_SMALL = 0,
    NGX_HTTP_EXAM_LARGE,
    NGX_HTTP_EXAM_SIZES
} ngx_http_exam_buffer_e;


typedef struct ngx_http_exam_buffer_s  ngx_http_exam_buffer_t;

struct ngx_http_exam_buffer_s {
    ngx_http_exam_buffer_t        *next;    /* the holder's */
    u_char                        *data;    /* aligned to a page */
    size_t                         len;     /* bytes in it */
    size_t                         size;
    size_t                         room;    /* the holder may use less of it */
    ngx_http_exam_buffer_e         kind;
};


/*
 * Who found no buffer, in his own memory, and what is to be done when there may
 * be one again: once, in a later turn of the event loop; he then calls _cancel.
 */

typedef struct {
    ngx_queue_t                    queue;
    ngx_event_t                    event;   /* data and handler set by him */
    ngx_uint_t                     waits;
} ngx_http_exam_buffer_wait_t;


/* at most so many bytes in buffers, of this process */

void ngx_http_exam_buffers_init(size_t max);

/*
 * Empty.  NULL: out of memory, or, with *full set, all are in use; of the large
 * ones a small one may be given instead.
 */

ngx_http_exam_buffer_t *ngx_http_exam_buffer_get(ngx_http_exam_buffer_e kind,
    ngx_uint_t *full);

void ngx_http_exam_buffer_put(ngx_http_exam_buffer_t *b);

void ngx_http_exam_buffer_wait(ngx_http_exam_buffer_wait_t *w);
void ngx_http_exam_buffer_wait_cancel(ngx_http_exam_buffer_wait_t *w);

/* the next one who waits; who was woken calls it when he has what he needs */

void ngx_http_exam_buffers_wake(void);

/* in exit_process */

void ngx_http_exam_buffers_exit(void);


#endif /* NGX_HTTP_EXAM_BUFFERS_H_INCLUDED */
