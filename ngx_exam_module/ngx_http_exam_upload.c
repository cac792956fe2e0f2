
/*
 * The life of an upload: states, tasks, end (see the header).  The bytes come
 * from ngx_http_exam_upload_body.c.
 *
 *   start -> OPENING -> RECEIVING -> RECEIVED -> FINISHING -> ENDED
 *
 * Full buffers go to a pool thread, one task at a time, which hashes and writes
 * them.  Invariants: what belongs to the task in flight is not touched; an
 * upload that ends while its task is in flight is removed when that is done.
 */


#include "ngx_http_exam_upload.h"
#include "ngx_http_exam_disk.h"
#include "ngx_http_exam_part.h"


#define NGX_HTTP_EXAM_UPLOAD_LONG   60000   /* ms of a task, then a warning */
#define NGX_HTTP_EXAM_UPLOAD_RETRY  500     /* ms until a removal is retried */


static void ngx_http_exam_upload_thread(void *data, ngx_log_t *log);
static int ngx_http_exam_upload_blocks(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_done(ngx_event_t *ev);
static void ngx_http_exam_upload_next(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_opened(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_failed(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_written(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_finished(ngx_http_exam_upload_t *u);
static exam_err_e ngx_http_exam_upload_error(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_ended(ngx_http_exam_upload_t *u,
    ngx_uint_t durable, ngx_uint_t keep);
static void ngx_http_exam_upload_detach(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_cleanup(void *data);


ngx_http_exam_upload_t *
ngx_http_exam_upload_create(ngx_http_request_t *r,
    const ngx_http_exam_upload_handlers_t *handlers, size_t size)
{
    ngx_pool_t              *pool;
    ngx_http_exam_ctx_t     *ctx;
    ngx_http_exam_upload_t  *u;

    ctx = ngx_http_exam_ctx(r);
    pool = ngx_create_pool(NGX_MIN_POOL_SIZE + sizeof(ngx_http_exam_upload_t),
                           ngx_cycle->log);

    if (ctx == NULL || pool == NULL) {
        goto failed;
    }

    u = ngx_pcalloc(pool, sizeof(ngx_http_exam_upload_t));
    if (u == NULL) {
        goto failed;
    }

    u->data = ngx_pcalloc(pool, size);
    u->task = ngx_thread_task_alloc(pool, 0);
    u->cln = ngx_http_cleanup_add(r, 0);

    if (u->data == NULL || u->task == NULL || u->cln == NULL) {
        goto failed;
    }

    u->pool = pool;
    u->refs = 1;
    u->r = r;
    u->mcf = ngx_http_exam_main_conf(r);
    u->handlers = *handlers;
    u->last = &u->full;
    u->refusal = EXAM_ERR_TOO_LARGE;

    u->task->ctx = u;
    u->task->handler = ngx_http_exam_upload_thread;
    u->task->event.data = u;
    u->task->event.handler = ngx_http_exam_upload_done;
    u->task->event.log = ngx_cycle->log;

    u->wait.event.data = u;
    u->wait.event.handler = ngx_http_exam_upload_refill;
    u->wait.event.log = ngx_cycle->log;

    u->cln->handler = ngx_http_exam_upload_cleanup;
    u->cln->data = u;

    ngx_http_exam_writer_init(&u->writer);

    u->writer.spool = ngx_http_exam_spool.dir;
    u->writer.ready = ngx_http_exam_spool.ready;

    ctx->data = u;

    return u;

failed:

    if (pool != NULL) {
        ngx_destroy_pool(pool);
    }

    return NULL;
}


void
ngx_http_exam_upload_hold(ngx_http_exam_upload_t *u)
{
    u->refs++;
}


void
ngx_http_exam_upload_release(ngx_http_exam_upload_t *u)
{
    if (--u->refs == 0) {
        ngx_destroy_pool(u->pool);
    }
}


void
ngx_http_exam_upload_start(ngx_http_exam_upload_t *u)
{
    exam_err_e  err;

    u->state = NGX_HTTP_EXAM_UPLOAD_OPENING;

    if (u->writer.spool == -1 || u->writer.ready == -1) {
        ngx_http_exam_upload_fail(u, EXAM_ERR_UNAVAILABLE);
        return;
    }

    err = ngx_http_exam_disk_admit(u->mcf, u->writer.length);

    if (err == EXAM_OK) {
        err = ngx_http_exam_upload_enter(u);
    }

    if (err != EXAM_OK) {
        ngx_http_exam_upload_fail(u, err);
        return;
    }

    ngx_http_exam_upload_task(u, NGX_HTTP_EXAM_UPLOAD_OPEN);
}


/* the part file is there and has its room: now the body may come */

static void
ngx_http_exam_upload_opened(ngx_http_exam_upload_t *u)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = u->r;

    u->state = NGX_HTTP_EXAM_UPLOAD_RECEIVING;

    if (u->writer.unreserved) {
        u->mcf->zone->shared->unreserved = 1;
    }

    rc = ngx_http_exam_upload_receive(u);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        ngx_http_exam_upload_drop(u);
        ngx_http_finalize_request(r, rc);
        return;
    }

    /* the count that the caller of _start has raised */

    ngx_http_finalize_request(r, NGX_DONE);
}


void
ngx_http_exam_upload_put(ngx_http_exam_upload_t *u, ngx_http_exam_buffer_t *b)
{
    ngx_http_exam_buffer_t  *next;

    while (b != NULL) {
        next = b->next;
        u->held--;
        u->held_bytes -= b->size;
        ngx_http_exam_buffer_put(b);
        b = next;
    }
}


ngx_int_t
ngx_http_exam_upload_write(ngx_http_exam_upload_t *u)
{
    ngx_uint_t               hashed;
    ngx_http_exam_hasher_t    *job;
    ngx_http_exam_buffer_t  *b;

    if (u->busy || (u->full == NULL && !u->eof)) {
        return NGX_OK;
    }

    u->writing = u->full;
    u->full = NULL;
    u->last = &u->full;
    u->final = u->eof;

    job = &u->writer.hash;
    hashed = (u->writer.hashed == u->writer.offset);

    ngx_http_exam_hasher_open(job);

    for (b = u->writing; b != NULL; b = b->next) {
        ngx_http_exam_hasher_add(job, b->data, b->len);
    }

    if (ngx_http_exam_upload_post(u, NGX_HTTP_EXAM_UPLOAD_WRITE) != NGX_OK) {
        return NGX_ERROR;
    }

    if (hashed) {
        ngx_http_exam_hasher_offer(job);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_exam_upload_post(ngx_http_exam_upload_t *u,
    ngx_http_exam_upload_op_e op)
{
    u->op = op;

    if (ngx_http_exam_spool.exiting
        || ngx_thread_task_post(u->mcf->thread_pool, u->task) != NGX_OK)
    {
        return NGX_ERROR;
    }

    u->busy = 1;
    ngx_http_exam_upload_hold(u);

    /* not cancelable: the process stays until the task is done */

    ngx_add_timer(&u->task->event, NGX_HTTP_EXAM_UPLOAD_LONG);

    return NGX_OK;
}


void
ngx_http_exam_upload_task(ngx_http_exam_upload_t *u,
    ngx_http_exam_upload_op_e op)
{
    if (ngx_http_exam_upload_post(u, op) != NGX_OK) {
        ngx_http_exam_upload_fail(u, EXAM_ERR_OVERLOADED);
    }
}


/* in a pool thread */

static void
ngx_http_exam_upload_thread(void *data, ngx_log_t *log)
{
    ngx_http_exam_upload_t *u = data;

    switch (u->op) {

    case NGX_HTTP_EXAM_UPLOAD_OPEN:
        u->rc = ngx_http_exam_writer_open(&u->writer);
        return;

    case NGX_HTTP_EXAM_UPLOAD_WRITE:
        u->rc = ngx_http_exam_upload_blocks(u);
        return;

    case NGX_HTTP_EXAM_UPLOAD_HASH:
        u->rc = ngx_http_exam_writer_last(&u->writer);
        return;

    case NGX_HTTP_EXAM_UPLOAD_FINISH:
        u->rc = ngx_http_exam_writer_finish(&u->writer);
        u->end_us = ngx_http_exam_writer_clock_us();
        return;

    case NGX_HTTP_EXAM_UPLOAD_REMOVE:
        u->rc = ngx_http_exam_writer_remove(&u->writer);
        return;

    default:
        ngx_http_exam_upload_part_thread(u);
        return;
    }
}


/* in a pool thread: 0, -1, or 1 as ngx_http_exam_writer_last() */

static int
ngx_http_exam_upload_blocks(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_writer_t  *w;

    w = &u->writer;

    if (u->writing != NULL && ngx_http_exam_writer_write(w) != 0) {
        return -1;
    }

    if (u->final) {
        return ngx_http_exam_writer_last(w);
    }

    /* what cannot be told now will be at the end; a lost prefix is the end */

    if (u->tell_every && !w->atomic
        && w->offset - w->manifest.durable_offset >= u->tell_every)
    {
        u->progressed = (ngx_http_exam_part_tell(w) == 0);

        if (w->lost) {
            return -1;
        }
    }

    return 0;
}


/* the task is done, or its timer has fired: too long, or to be tried again */

static void
ngx_http_exam_upload_done(ngx_event_t *ev)
{
    ngx_uint_t               i;
    ngx_connection_t        *c;
    ngx_http_exam_upload_t  *u = ev->data;

    if (ev->timedout && !u->busy) {
        ev->timedout = 0;

        if (u->resumable) {
            ngx_http_exam_upload_let_go(u);

        } else {
            ngx_http_exam_upload_remove(u);
        }

        ngx_http_exam_upload_release(u);
        return;
    }

    if (ev->timedout) {
        ev->timedout = 0;
        ngx_log_error(NGX_LOG_WARN, ev->log, 0,
                      "exam upload waits long for the disk");
        ngx_add_timer(ev, NGX_HTTP_EXAM_UPLOAD_LONG);
        return;
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    u->busy = 0;
    c = NULL;

    if (u->r != NULL) {
        c = u->r->connection;
        ngx_http_set_log_request(c->log, u->r);
    }

    for (i = 0; u->writing != NULL && i < u->writer.nwrites; i++) {
        ngx_http_exam_observe(u->mcf, pwrite, u->writer.write_us[i]);
    }

    ngx_http_exam_upload_put(u, u->writing);
    u->writing = NULL;

    ngx_http_exam_upload_next(u);

    if (c != NULL) {
        ngx_http_run_posted_requests(c);
    }

    ngx_http_exam_upload_release(u);
}


/* after a task, whose reference keeps u during the call */

static void
ngx_http_exam_upload_next(ngx_http_exam_upload_t *u)
{
    if (u->rc < 0) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, u->writer.error,
                      "exam %s for upload \"%*s\" failed", u->writer.call,
                      u->writer.manifest.id.len, u->writer.manifest.id.data);
    }

    if (u->state == NGX_HTTP_EXAM_UPLOAD_ENDED) {

        /* given up while the task was in flight */

        if (u->resumable) {
            u->scrap |= (u->op == NGX_HTTP_EXAM_UPLOAD_CREATE && u->rc < 0);
            ngx_http_exam_upload_let_go(u);

        } else if (u->op != NGX_HTTP_EXAM_UPLOAD_REMOVE) {
            ngx_http_exam_upload_remove(u);
        }

        return;
    }

    if (u->rc < 0) {
        ngx_http_exam_upload_failed(u);
        return;
    }

    switch (u->op) {

    case NGX_HTTP_EXAM_UPLOAD_OPEN:
        ngx_http_exam_upload_opened(u);
        return;

    case NGX_HTTP_EXAM_UPLOAD_APPEND:
        ngx_http_exam_upload_opened(u);
        return;

    case NGX_HTTP_EXAM_UPLOAD_WRITE:
    case NGX_HTTP_EXAM_UPLOAD_HASH:
        ngx_http_exam_upload_written(u);
        return;

    case NGX_HTTP_EXAM_UPLOAD_FINISH:
        ngx_http_exam_upload_finished(u);
        return;

    default:
        ngx_http_exam_upload_part_next(u);
        return;
    }
}


/* a task has failed, and nobody has given the upload up meanwhile */

static void
ngx_http_exam_upload_failed(ngx_http_exam_upload_t *u)
{
    exam_err_e  err;

    err = ngx_http_exam_upload_error(u);

    if (u->op == NGX_HTTP_EXAM_UPLOAD_ACQUIRE) {
        ngx_http_exam_upload_refuse(u, err);
        return;
    }

    u->scrap = (u->op == NGX_HTTP_EXAM_UPLOAD_CREATE);

    if (err == EXAM_ERR_DISK_FULL && u->resumable && !u->scrap
        && u->op != NGX_HTTP_EXAM_UPLOAD_FULL
        && u->op != NGX_HTTP_EXAM_UPLOAD_TERMINATE)
    {
        ngx_http_exam_upload_full(u);
        return;
    }

    ngx_http_exam_upload_fail(u, err);
}


static void
ngx_http_exam_upload_written(ngx_http_exam_upload_t *u)
{
    if (u->progressed) {
        u->progressed = 0;
        u->handlers.progress(u);
    }

    /* a prefix that others have sent is hashed in slices */

    if (u->rc > 0) {
        ngx_http_exam_upload_task(u, NGX_HTTP_EXAM_UPLOAD_HASH);

        return;
    }

    if (u->final) {
        u->state = NGX_HTTP_EXAM_UPLOAD_RECEIVED;
        u->handlers.received(u);
        return;
    }

    /* after the end there is nothing to read: only the rest to write */

    if (!u->eof) {
        ngx_http_exam_upload_pump(u);
        return;
    }

    if (ngx_http_exam_upload_write(u) != NGX_OK) {
        ngx_http_exam_upload_fail(u, EXAM_ERR_OVERLOADED);
    }
}


void
ngx_http_exam_upload_finish(ngx_http_exam_upload_t *u)
{
    u->state = NGX_HTTP_EXAM_UPLOAD_FINISHING;

    ngx_http_exam_upload_task(u, NGX_HTTP_EXAM_UPLOAD_FINISH);
}


static void
ngx_http_exam_upload_finished(ngx_http_exam_upload_t *u)
{
    ngx_http_request_t  *r;

    ngx_http_exam_observe(u->mcf, fdatasync, u->writer.sync_us);
    ngx_http_exam_observe(u->mcf, handover, u->end_us - u->eof_us);

    u->state = NGX_HTTP_EXAM_UPLOAD_ENDED;
    ngx_http_exam_upload_ended(u, 1, 0);

    r = u->r;
    ngx_http_exam_upload_detach(u);

    if (u->resumable) {
        ngx_http_exam_upload_let_go(u);
    }

    u->handlers.finished(u, r);
}


static exam_err_e
ngx_http_exam_upload_error(ngx_http_exam_upload_t *u)
{
    switch (u->writer.error) {

    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return EXAM_ERR_DISK_FULL;

    default:
        return EXAM_ERR_INTERNAL;
    }
}


void
ngx_http_exam_upload_fail(ngx_http_exam_upload_t *u, exam_err_e err)
{
    ngx_http_request_t  *r;

    r = u->r;

    ngx_http_exam_upload_drop(u);

    if (r != NULL) {
        ngx_http_exam_upload_post_stream(r);
        ngx_http_finalize_request(r, ngx_http_exam_problem(r, err, NULL));
    }
}


void
ngx_http_exam_upload_post_stream(ngx_http_request_t *r)
{
#if (NGX_HTTP_V2)
    if (r->stream != NULL) {
        ngx_post_event(r->stream->connection->connection->write,
                       &ngx_posted_events);
    }
#endif
}


void
ngx_http_exam_upload_drop(ngx_http_exam_upload_t *u)
{
    ngx_uint_t  keep;

    /* an append that counts in part */

    keep = u->resumable && u->state == NGX_HTTP_EXAM_UPLOAD_RECEIVING
           && !u->writer.has_check;

    u->state = NGX_HTTP_EXAM_UPLOAD_ENDED;

    ngx_http_exam_upload_ended(u, 0, keep);

    if (u->busy) {

        /* _next goes on */

    } else if (u->resumable) {
        ngx_http_exam_upload_let_go(u);

    } else {
        ngx_http_exam_upload_remove(u);
    }

    ngx_http_exam_upload_detach(u);
}


/* keep: what is in the ring is still to be written */

static void
ngx_http_exam_upload_ended(ngx_http_exam_upload_t *u, ngx_uint_t durable,
    ngx_uint_t keep)
{
    ngx_http_exam_upload_exit(u);
    ngx_http_exam_buffer_wait_cancel(&u->wait);

    if (u->r != NULL) {
        ngx_http_exam_upload_restore(u);
    }

    if (u->retry.timer_set) {
        ngx_del_timer(&u->retry);
    }

    if (keep && u->current != NULL && u->current->len > 0) {
        *u->last = u->current;
        u->last = &u->current->next;
        u->current = NULL;
    }

    ngx_http_exam_upload_put(u, u->current);
    u->current = NULL;

    if (!keep) {
        ngx_http_exam_upload_put(u, u->full);
        u->full = NULL;
        u->last = &u->full;
    }

    if (!u->busy) {
        ngx_http_exam_upload_put(u, u->writing);
        u->writing = NULL;
    }

    u->eof = 0;
    u->tell_every = 0;

    u->handlers.ended(u, durable);
}


void
ngx_http_exam_upload_remove(ngx_http_exam_upload_t *u)
{
    if (u->writer.stage == NGX_HTTP_EXAM_WRITER_NONE && u->writer.fd == -1) {
        return;
    }

    if (ngx_http_exam_upload_post(u, NGX_HTTP_EXAM_UPLOAD_REMOVE) == NGX_OK) {
        return;
    }

    if (ngx_http_exam_spool.exiting) {

        /* without its lock the part is the next sweep's */

        (void) close(u->writer.fd);
        u->writer.fd = -1;

        return;
    }

    ngx_http_exam_upload_later(u);
}


void
ngx_http_exam_upload_later(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_upload_hold(u);
    ngx_add_timer(&u->task->event, NGX_HTTP_EXAM_UPLOAD_RETRY);
}


/* r is on its own again; its reference is given back */

static void
ngx_http_exam_upload_detach(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_ctx_t  *ctx;

    if (u->r == NULL) {
        return;
    }

    ctx = ngx_http_get_module_ctx(u->r, ngx_http_exam_module);

    if (ctx != NULL && ctx->data == u) {
        ctx->data = NULL;
    }

    if (u->deadline.timer_set) {
        ngx_del_timer(&u->deadline);
    }

    u->r->read_event_handler = ngx_http_block_reading;
    u->r = NULL;
    u->cln->handler = NULL;

    ngx_http_exam_upload_release(u);
}


/* the request ends before its upload: the client has gone, or we shut down */

static void
ngx_http_exam_upload_cleanup(void *data)
{
    ngx_http_exam_upload_leave(data);
}


void
ngx_http_exam_upload_leave(ngx_http_exam_upload_t *u)
{
    if (u->state == NGX_HTTP_EXAM_UPLOAD_FINISHING
        || (u->state == NGX_HTTP_EXAM_UPLOAD_TELLING
            && u->op == NGX_HTTP_EXAM_UPLOAD_TERMINATE))
    {
        ngx_http_exam_upload_detach(u);
        return;
    }

    ngx_http_exam_upload_drop(u);
}
