
/*
 * Pool of upload buffers; see the header.
 *
 * Memory comes from mmap(): page aligned as O_DIRECT wants it, and really given
 * back by munmap().  Free buffers are kept on a list; of those that nobody has
 * asked for during a whole period, all are given back by a timer, which runs
 * only while the list has any.
 */


#include <ngx_event.h>

#include "ngx_http_exam_buffers.h"


#define NGX_HTTP_EXAM_BUFFERS_TRIM  5000    /* ms */


static void ngx_http_exam_buffers_trim(ngx_event_t *ev);
static void ngx_http_exam_buffer_free(ngx_http_exam_buffer_t *b);


typedef struct {
    ngx_connection_t               dummy;   /* what debug logs look at */
    ngx_http_exam_buffer_t        *free;
    ngx_uint_t                     nfree;
    ngx_uint_t                     idle;    /* lowest nfree of the period */
    ngx_event_t                    timer;
} ngx_http_exam_buffers_t;


static ngx_http_exam_buffers_t  ngx_http_exam_buffers;


ngx_http_exam_buffer_t *
ngx_http_exam_buffer_get(void)
{
    ngx_http_exam_buffer_t   *b;
    ngx_http_exam_buffers_t  *pool;

    pool = &ngx_http_exam_buffers;
    b = pool->free;

    if (b != NULL) {
        pool->free = b->next;
        pool->nfree--;
        pool->idle = ngx_min(pool->idle, pool->nfree);

        b->next = NULL;
        b->len = 0;

        return b;
    }

    b = ngx_alloc(sizeof(ngx_http_exam_buffer_t), ngx_cycle->log);
    if (b == NULL) {
        return NULL;
    }

    b->data = mmap(NULL, NGX_HTTP_EXAM_BUFFER_SIZE, PROT_READ|PROT_WRITE,
                   MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

    if (b->data == MAP_FAILED) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "exam mmap() of an upload buffer failed");
        ngx_free(b);
        return NULL;
    }

    b->next = NULL;
    b->len = 0;

    return b;
}


void
ngx_http_exam_buffer_put(ngx_http_exam_buffer_t *b)
{
    ngx_http_exam_buffers_t  *pool;

    pool = &ngx_http_exam_buffers;

    b->next = pool->free;
    pool->free = b;
    pool->nfree++;

    if (!pool->timer.timer_set && !ngx_exiting && !ngx_terminate) {
        pool->dummy.fd = (ngx_socket_t) -1;
        pool->timer.data = &pool->dummy;
        pool->timer.handler = ngx_http_exam_buffers_trim;
        pool->timer.log = ngx_cycle->log;
        pool->timer.cancelable = 1;
        pool->idle = pool->nfree;

        ngx_add_timer(&pool->timer, NGX_HTTP_EXAM_BUFFERS_TRIM);
    }
}


static void
ngx_http_exam_buffers_trim(ngx_event_t *ev)
{
    ngx_uint_t                n;
    ngx_http_exam_buffer_t   *b;
    ngx_http_exam_buffers_t  *pool;

    pool = &ngx_http_exam_buffers;

    for (n = pool->idle; n > 0; n--) {
        b = pool->free;
        pool->free = b->next;
        pool->nfree--;

        ngx_http_exam_buffer_free(b);
    }

    pool->idle = pool->nfree;

    if (pool->nfree > 0) {
        ngx_add_timer(ev, NGX_HTTP_EXAM_BUFFERS_TRIM);
    }
}


static void
ngx_http_exam_buffer_free(ngx_http_exam_buffer_t *b)
{
    if (munmap(b->data, NGX_HTTP_EXAM_BUFFER_SIZE) != 0) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "exam munmap() of an upload buffer failed");
    }

    ngx_free(b);
}


void
ngx_http_exam_buffers_exit(void)
{
    ngx_http_exam_buffer_t   *b;
    ngx_http_exam_buffers_t  *pool;

    pool = &ngx_http_exam_buffers;

    while (pool->free != NULL) {
        b = pool->free;
        pool->free = b->next;

        ngx_http_exam_buffer_free(b);
    }

    pool->nfree = 0;
    pool->idle = 0;
}
