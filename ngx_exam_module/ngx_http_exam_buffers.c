
/*
 * Pool of upload buffers; see the header.
 *
 * Memory comes from mmap(): page aligned as O_DIRECT wants it, and really given
 * back by munmap().  Free buffers are kept on a list for each size; of those
 * that nobody has asked for during a whole period, all are given back by a
 * timer, which runs only while a list has any.
 */


#include "ngx_http_exam_buffers.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif


#define NGX_HTTP_EXAM_BUFFERS_TRIM  5000    /* ms */
#define NGX_HTTP_EXAM_BUFFERS_MMAP  (256 * 1024)
#define NGX_HTTP_EXAM_BUFFERS_WAIT  1000    /* then it is tried again */


typedef struct {
    ngx_http_exam_buffer_t        *free;
    ngx_uint_t                     nfree;
    ngx_uint_t                     idle;    /* lowest nfree of the period */
} ngx_http_exam_buffers_list_t;


typedef struct {
    ngx_connection_t               dummy;   /* what debug logs look at */
    ngx_http_exam_buffers_list_t   lists[NGX_HTTP_EXAM_SIZES];
    size_t                         held;    /* bytes, on no list */
    size_t                         max;     /* of them */
    ngx_queue_t                    waiting;
    ngx_event_t                    timer;
} ngx_http_exam_buffers_t;


static ngx_http_exam_buffer_t *ngx_http_exam_buffer_make(
    ngx_http_exam_buffer_e kind);
static void ngx_http_exam_buffers_trim(ngx_event_t *ev);
static void ngx_http_exam_buffers_shrink(ngx_http_exam_buffers_list_t *list,
    ngx_uint_t n);


static const size_t  ngx_http_exam_buffer_sizes[] = {
    NGX_HTTP_EXAM_BUFFER_SMALL,
    NGX_HTTP_EXAM_BUFFER_LARGE
};

static ngx_http_exam_buffers_t  ngx_http_exam_buffers;


void
ngx_http_exam_buffers_init(size_t max)
{
    ngx_memzero(&ngx_http_exam_buffers, sizeof(ngx_http_exam_buffers_t));

    ngx_http_exam_buffers.max = max;
    ngx_queue_init(&ngx_http_exam_buffers.waiting);

    /*
     * nginx's own buffer of an HTTP/2 upload, 512k, is given back, too.  By
     * itself malloc() takes such ones from its heap once one was freed.
     */

#if defined(__GLIBC__)
    (void) mallopt(M_MMAP_THRESHOLD, NGX_HTTP_EXAM_BUFFERS_MMAP);
#endif
}


ngx_http_exam_buffer_t *
ngx_http_exam_buffer_get(ngx_http_exam_buffer_e kind, ngx_uint_t *full)
{
    ngx_http_exam_buffer_t        *b;
    ngx_http_exam_buffers_t       *pool;
    ngx_http_exam_buffers_list_t  *list;

    pool = &ngx_http_exam_buffers;
    *full = 0;

    if (pool->held + ngx_http_exam_buffer_sizes[kind] > pool->max) {
        kind = NGX_HTTP_EXAM_SMALL;

        if (pool->held + ngx_http_exam_buffer_sizes[kind] > pool->max) {
            *full = 1;
            return NULL;
        }
    }

    list = &pool->lists[kind];
    b = list->free;

    if (b != NULL) {
        list->free = b->next;
        list->nfree--;
        list->idle = ngx_min(list->idle, list->nfree);

    } else {
        b = ngx_http_exam_buffer_make(kind);

        if (b == NULL) {
            return NULL;
        }
    }

    b->next = NULL;
    b->len = 0;
    b->room = b->size;

    pool->held += b->size;

    return b;
}


static ngx_http_exam_buffer_t *
ngx_http_exam_buffer_make(ngx_http_exam_buffer_e kind)
{
    ngx_http_exam_buffer_t  *b;

    b = ngx_alloc(sizeof(ngx_http_exam_buffer_t), ngx_cycle->log);
    if (b == NULL) {
        return NULL;
    }

    b->kind = kind;
    b->size = ngx_http_exam_buffer_sizes[kind];
    b->data = mmap(NULL, b->size, PROT_READ|PROT_WRITE,
                   MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

    if (b->data == MAP_FAILED) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "exam mmap() of an upload buffer failed");
        ngx_free(b);
        return NULL;
    }

    return b;
}


void
ngx_http_exam_buffer_put(ngx_http_exam_buffer_t *b)
{
    ngx_http_exam_buffers_t       *pool;
    ngx_http_exam_buffers_list_t  *list;

    pool = &ngx_http_exam_buffers;
    list = &pool->lists[b->kind];

    pool->held -= b->size;

    b->next = list->free;
    list->free = b;
    list->nfree++;

    ngx_http_exam_buffers_wake();

    if (!pool->timer.timer_set && !ngx_exiting && !ngx_terminate) {
        pool->dummy.fd = (ngx_socket_t) -1;
        pool->timer.data = &pool->dummy;
        pool->timer.handler = ngx_http_exam_buffers_trim;
        pool->timer.log = ngx_cycle->log;
        pool->timer.cancelable = 1;
        list->idle = list->nfree;

        ngx_add_timer(&pool->timer, NGX_HTTP_EXAM_BUFFERS_TRIM);
    }
}


void
ngx_http_exam_buffer_wait(ngx_http_exam_buffer_wait_t *w)
{
    if (!w->waits) {
        w->waits = 1;
        ngx_queue_insert_tail(&ngx_http_exam_buffers.waiting, &w->queue);

        /* a process that is to leave stays for its timers alone */

        ngx_add_timer(&w->event, NGX_HTTP_EXAM_BUFFERS_WAIT);
    }
}


void
ngx_http_exam_buffer_wait_cancel(ngx_http_exam_buffer_wait_t *w)
{
    if (w->waits) {
        w->waits = 0;
        ngx_queue_remove(&w->queue);
    }

    if (w->event.posted) {
        ngx_delete_posted_event(&w->event);
    }

    if (w->event.timer_set) {
        ngx_del_timer(&w->event);
    }

    w->event.timedout = 0;
}


void
ngx_http_exam_buffers_wake(void)
{
    ngx_queue_t                  *q;
    ngx_http_exam_buffers_t      *pool;
    ngx_http_exam_buffer_wait_t  *w;

    pool = &ngx_http_exam_buffers;

    if (ngx_queue_empty(&pool->waiting)
        || pool->held + NGX_HTTP_EXAM_BUFFER_SMALL > pool->max)
    {
        return;
    }

    q = ngx_queue_head(&pool->waiting);
    w = ngx_queue_data(q, ngx_http_exam_buffer_wait_t, queue);

    ngx_queue_remove(q);
    w->waits = 0;

    ngx_post_event(&w->event, &ngx_posted_events);
}


static void
ngx_http_exam_buffers_trim(ngx_event_t *ev)
{
    ngx_uint_t                     i, left;
    ngx_http_exam_buffers_list_t  *list;

    left = 0;

    for (i = 0; i < NGX_HTTP_EXAM_SIZES; i++) {
        list = &ngx_http_exam_buffers.lists[i];

        ngx_http_exam_buffers_shrink(list, list->idle);
        list->idle = list->nfree;
        left += list->nfree;
    }

    if (left > 0) {
        ngx_add_timer(ev, NGX_HTTP_EXAM_BUFFERS_TRIM);
    }
}


static void
ngx_http_exam_buffers_shrink(ngx_http_exam_buffers_list_t *list, ngx_uint_t n)
{
    ngx_http_exam_buffer_t  *b;

    while (n-- > 0) {
        b = list->free;
        list->free = b->next;
        list->nfree--;

        if (munmap(b->data, b->size) != 0) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                          "exam munmap() of an upload buffer failed");
        }

        ngx_free(b);
    }
}


void
ngx_http_exam_buffers_exit(void)
{
    ngx_uint_t                     i;
    ngx_http_exam_buffers_list_t  *list;

    for (i = 0; i < NGX_HTTP_EXAM_SIZES; i++) {
        list = &ngx_http_exam_buffers.lists[i];

        ngx_http_exam_buffers_shrink(list, list->nfree);
        list->idle = 0;
    }
}
