
/*
 * The half of the upload engine that resumable uploads have of their own (see
 * ngx_http_exam_upload.h): taken over, told, let go.
 *
 *   begin, acquire -> OPENING -> OPENED -> append -> RECEIVING -> RECEIVED
 *          -> tell, rollback, full, terminate -> TELLING -> TOLD -> leave
 *          -> ENDED
 *                             \-> finish -> FINISHING -> ENDED
 *
 * The owner of a part holds its lock and is listed here by id; a newcomer asks
 * it to let go, and tries again until it has.  The latest one wins.  Who is
 * asked while receiving answers nothing, writes what has arrived, makes it
 * durable and goes; what is being told, finished or removed is waited for.
 *
 * A request waits for others and the disk until its deadline.  What was begun
 * for it goes on to where the next one finds all done: so the disk has to do
 * it once, however many ask.
 *
 * Event loop only, but for _part_thread.
 */


#include "ngx_http_exam_disk.h"
#include "ngx_http_exam_part.h"
#include "ngx_http_exam_upload.h"


#define NGX_HTTP_EXAM_UPLOAD_WAIT    900        /* ms until a 423 */
#define NGX_HTTP_EXAM_UPLOAD_SLOW    10         /* ms between tries, at most */
#define NGX_HTTP_EXAM_UPLOAD_TRIES   4          /* as fast as the last */
#define NGX_HTTP_EXAM_UPLOAD_COMING  8          /* tries, 12 ms: then asked */
#define NGX_HTTP_EXAM_UPLOAD_LISTS   64


static void ngx_http_exam_upload_resumable(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_acquired(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_wait(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_again(ngx_event_t *ev);
static void ngx_http_exam_upload_late(ngx_event_t *ev);
static void ngx_http_exam_upload_in_time(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_list(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_unlist(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_ask(ngx_http_exam_upload_t *u,
    ngx_http_exam_yield_t *ask);


static ngx_queue_t  ngx_http_exam_upload_lists[NGX_HTTP_EXAM_UPLOAD_LISTS];


static void
ngx_http_exam_upload_resumable(ngx_http_exam_upload_t *u)
{
    u->resumable = 1;
    u->since = ngx_http_exam_writer_clock_us();
    u->state = NGX_HTTP_EXAM_UPLOAD_OPENING;

    u->writer.resumable = 1;
    u->writer.boot = ngx_http_exam_spool.boot_id;
    u->writer.expire = u->mcf->upload_expire / 1000;

    u->retry.data = u;
    u->retry.handler = ngx_http_exam_upload_again;
    u->retry.log = ngx_cycle->log;

    u->deadline.data = u;
    u->deadline.handler = ngx_http_exam_upload_late;
    u->deadline.log = ngx_cycle->log;
}


void
ngx_http_exam_upload_begin(ngx_http_exam_upload_t *u)
{
    exam_err_e  err;

    ngx_http_exam_upload_resumable(u);

    if (u->writer.spool == -1 || u->writer.ready == -1) {
        ngx_http_exam_upload_fail(u, EXAM_ERR_UNAVAILABLE);
        return;
    }

    err = ngx_http_exam_disk_admit(u->mcf, u->writer.manifest.length);

    if (err != EXAM_OK) {
        ngx_http_exam_upload_fail(u, err);
        return;
    }

    ngx_http_exam_upload_task(u, NGX_HTTP_EXAM_UPLOAD_CREATE);
}


void
ngx_http_exam_upload_acquire(ngx_http_exam_upload_t *u, exam_str_t id)
{
    ngx_http_exam_upload_resumable(u);

    if (u->writer.spool == -1 || u->writer.ready == -1) {
        ngx_http_exam_upload_refuse(u, EXAM_ERR_UNAVAILABLE);
        return;
    }

    u->writer.arena = ngx_palloc(u->pool, EXAM_MANIFEST_ARENA);

    if (u->writer.arena == NULL || ngx_http_exam_copy(u->pool, &id) != NGX_OK) {
        ngx_http_exam_upload_refuse(u, EXAM_ERR_INTERNAL);
        return;
    }

    u->writer.manifest.id = id;

    if (ngx_http_exam_upload_post(u, NGX_HTTP_EXAM_UPLOAD_ACQUIRE) != NGX_OK) {
        ngx_http_exam_upload_refuse(u, EXAM_ERR_OVERLOADED);
        return;
    }

    ngx_add_timer(&u->deadline, NGX_HTTP_EXAM_UPLOAD_WAIT);
}


void
ngx_http_exam_upload_append(ngx_http_exam_upload_t *u)
{
    exam_err_e  err;

    u->state = NGX_HTTP_EXAM_UPLOAD_OPENING;
    u->base = u->writer.offset;

    if (u->limit > 0) {
        ngx_http_exam_upload_in_time(u);
    }

    err = EXAM_OK;

    /* what was declared at the creation has its room already */

    if (u->writer.manifest.length == -1) {
        err = ngx_http_exam_disk_admit(u->mcf, u->writer.length);
    }

    if (err == EXAM_OK) {
        err = ngx_http_exam_upload_enter(u);
    }

    if (err == EXAM_ERR_DISK_FULL) {
        ngx_http_exam_upload_full(u);
        return;
    }

    if (err != EXAM_OK) {
        ngx_http_exam_upload_fail(u, err);
        return;
    }

    ngx_http_exam_upload_task(u, NGX_HTTP_EXAM_UPLOAD_APPEND);
}


void
ngx_http_exam_upload_tell(ngx_http_exam_upload_t *u)
{
    if (ngx_http_exam_part_told(&u->writer)) {
        u->state = NGX_HTTP_EXAM_UPLOAD_TOLD;
        u->handlers.told(u);
        return;
    }

    u->state = NGX_HTTP_EXAM_UPLOAD_TELLING;

    ngx_http_exam_upload_task(u, NGX_HTTP_EXAM_UPLOAD_TELL);
}


void
ngx_http_exam_upload_full(ngx_http_exam_upload_t *u)
{
    ngx_event_t  *rev;

    u->no_room = 1;
    u->wanted = (u->state == NGX_HTTP_EXAM_UPLOAD_TELLING) ? u->writer.offset
                                                           : -1;

    ngx_http_exam_buffer_wait_cancel(&u->wait);

    if (u->r != NULL) {
        rev = u->r->connection->read;

        if (rev->timer_set) {
            ngx_del_timer(rev);
        }

        u->r->read_event_handler = ngx_http_block_reading;
    }

    u->state = NGX_HTTP_EXAM_UPLOAD_TELLING;

    ngx_http_exam_upload_task(u, NGX_HTTP_EXAM_UPLOAD_FULL);
}


void
ngx_http_exam_upload_rollback(ngx_http_exam_upload_t *u)
{
    u->state = NGX_HTTP_EXAM_UPLOAD_TELLING;

    ngx_http_exam_upload_task(u, NGX_HTTP_EXAM_UPLOAD_ROLLBACK);
}


void
ngx_http_exam_upload_terminate(ngx_http_exam_upload_t *u, exam_gone_e state)
{
    u->state = NGX_HTTP_EXAM_UPLOAD_TELLING;
    u->tombstone = state;

    ngx_http_exam_upload_in_time(u);
    ngx_http_exam_upload_task(u, NGX_HTTP_EXAM_UPLOAD_TERMINATE);
}


/* in a pool thread */

void
ngx_http_exam_upload_part_thread(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_yield_t  ask;

    u->rc = 0;

    switch (u->op) {

    case NGX_HTTP_EXAM_UPLOAD_CREATE:
        u->rc = ngx_http_exam_part_create(&u->writer);
        return;

    case NGX_HTTP_EXAM_UPLOAD_ACQUIRE:
        u->found = ngx_http_exam_part_acquire(&u->writer);

        if (u->found == NGX_HTTP_EXAM_PART_FAILED) {
            u->rc = -1;

        } else if (u->found == NGX_HTTP_EXAM_PART_BUSY
                   && u->tries % NGX_HTTP_EXAM_UPLOAD_TRIES == 0)
        {
            ngx_http_exam_upload_ask(u, &ask);
            ngx_http_exam_yield_ask(u->writer.spool, &ask);
        }

        return;

    case NGX_HTTP_EXAM_UPLOAD_APPEND:
        u->rc = ngx_http_exam_part_append(&u->writer);
        return;

    case NGX_HTTP_EXAM_UPLOAD_TELL:
        u->rc = ngx_http_exam_part_tell(&u->writer);
        return;

    case NGX_HTTP_EXAM_UPLOAD_ROLLBACK:
        u->rc = ngx_http_exam_part_rollback(&u->writer);
        return;

    case NGX_HTTP_EXAM_UPLOAD_FULL:
        u->rc = ngx_http_exam_part_full(&u->writer);
        return;

    case NGX_HTTP_EXAM_UPLOAD_TERMINATE:
        u->rc = ngx_http_exam_part_terminate(&u->writer, u->tombstone);
        return;

    case NGX_HTTP_EXAM_UPLOAD_SETTLE:
        u->rc = ngx_http_exam_part_settle(&u->writer);
        return;

    case NGX_HTTP_EXAM_UPLOAD_CLOSE:
        u->rc = ngx_http_exam_part_close(&u->writer);
        return;
    }
}


/* after a task; the state is not ENDED and the task did not fail */

void
ngx_http_exam_upload_part_next(ngx_http_exam_upload_t *u)
{
    switch (u->op) {

    case NGX_HTTP_EXAM_UPLOAD_CREATE:
        ngx_http_exam_upload_list(u);
        u->state = NGX_HTTP_EXAM_UPLOAD_OPENED;
        u->handlers.opened(u);
        return;

    case NGX_HTTP_EXAM_UPLOAD_ACQUIRE:
        ngx_http_exam_upload_acquired(u);
        return;

    case NGX_HTTP_EXAM_UPLOAD_FULL:

        /* all that was to be told is: there was room after all */

        if (u->rc == 0 && u->writer.offset == u->wanted) {
            u->no_room = 0;
        }

        u->state = NGX_HTTP_EXAM_UPLOAD_TOLD;
        u->handlers.told(u);
        return;

    case NGX_HTTP_EXAM_UPLOAD_TELL:
    case NGX_HTTP_EXAM_UPLOAD_ROLLBACK:
        u->state = NGX_HTTP_EXAM_UPLOAD_TOLD;
        u->handlers.told(u);
        return;

    case NGX_HTTP_EXAM_UPLOAD_TERMINATE:
        u->gone = 1;
        u->state = NGX_HTTP_EXAM_UPLOAD_TOLD;
        u->handlers.told(u);
        return;
    }
}


static void
ngx_http_exam_upload_acquired(ngx_http_exam_upload_t *u)
{
    switch (u->found) {

    case NGX_HTTP_EXAM_PART_OWNED:
        ngx_http_exam_upload_list(u);
        u->state = NGX_HTTP_EXAM_UPLOAD_OPENED;
        u->handlers.opened(u);
        return;

    case NGX_HTTP_EXAM_PART_BUSY:
        ngx_http_exam_upload_wait(u);
        return;

    case NGX_HTTP_EXAM_PART_COMPLETE:
        ngx_http_exam_upload_refuse(u, EXAM_OK);
        return;

    case NGX_HTTP_EXAM_PART_GONE:
        u->gone = 1;
        ngx_http_exam_count(u->mcf, uploads_expired_total, u->writer.expired);
        ngx_http_exam_upload_refuse(u, u->writer.gone == EXAM_GONE_DOUBLE
                                       ? EXAM_OK : EXAM_ERR_UPLOAD_GONE);
        return;

    default: /* NGX_HTTP_EXAM_PART_NONE */

        if (u->coming && u->tries < NGX_HTTP_EXAM_UPLOAD_COMING) {
            ngx_http_exam_upload_wait(u);
            return;
        }

        ngx_http_exam_upload_refuse(u, EXAM_ERR_UPLOAD_NOT_FOUND);
        return;
    }
}


static void
ngx_http_exam_upload_wait(ngx_http_exam_upload_t *u)
{
    ngx_msec_t             ms;
    ngx_http_exam_yield_t  ask;

    /* the usual case, without the way through the socket */

    if (u->tries == 0) {
        ngx_http_exam_upload_ask(u, &ask);
        ngx_http_exam_upload_yield(&ask);
    }

    ms = 1 + u->tries++ / NGX_HTTP_EXAM_UPLOAD_TRIES;

    ngx_add_timer(&u->retry, ngx_min(ms, NGX_HTTP_EXAM_UPLOAD_SLOW));
}


static void
ngx_http_exam_upload_again(ngx_event_t *ev)
{
    ngx_connection_t        *c;
    ngx_http_exam_upload_t  *u = ev->data;

    c = u->r->connection;
    ngx_http_set_log_request(c->log, u->r);

    if (ngx_http_exam_upload_post(u, NGX_HTTP_EXAM_UPLOAD_ACQUIRE) != NGX_OK) {
        ngx_http_exam_upload_refuse(u, EXAM_ERR_UPLOAD_BUSY);
    }

    ngx_http_run_posted_requests(c);
}


/* not in time: the request is answered, its task goes on */

static void
ngx_http_exam_upload_late(ngx_event_t *ev)
{
    ngx_connection_t        *c;
    ngx_http_exam_upload_t  *u = ev->data;

    /* it brings no bytes: hashed and checked soon, or the client's matter */

    if (u->state == NGX_HTTP_EXAM_UPLOAD_RECEIVING
        || u->state == NGX_HTTP_EXAM_UPLOAD_RECEIVED)
    {
        if (u->state == NGX_HTTP_EXAM_UPLOAD_RECEIVED || u->eof) {
            ngx_add_timer(ev, NGX_HTTP_EXAM_UPLOAD_SLOW);
        }

        return;
    }

    c = u->r->connection;
    ngx_http_set_log_request(c->log, u->r);

    u->settle = 1;
    u->handlers.refused(u, EXAM_ERR_UPLOAD_BUSY);

    ngx_http_run_posted_requests(c);
}


/* from here on the request's own deed is waited for */

static void
ngx_http_exam_upload_in_time(ngx_http_exam_upload_t *u)
{
    if (u->deadline.timer_set) {
        ngx_del_timer(&u->deadline);
    }
}


void
ngx_http_exam_upload_refuse(ngx_http_exam_upload_t *u, exam_err_e err)
{
    ngx_http_exam_upload_in_time(u);

    u->state = NGX_HTTP_EXAM_UPLOAD_REFUSED;
    u->handlers.refused(u, err);
}


/* given up, no task in flight: what has arrived is written, then it is free */

void
ngx_http_exam_upload_let_go(ngx_http_exam_upload_t *u)
{
    if (u->writer.fd == -1) {
        ngx_http_exam_upload_unlist(u);
        return;
    }

    if (u->scrap) {
        ngx_http_exam_upload_remove(u);
        return;
    }

    if (u->full != NULL) {

        if (u->rc == 0 && ngx_http_exam_upload_write(u) == NGX_OK) {
            return;
        }

        ngx_http_exam_upload_put(u, u->full);
        u->full = NULL;
        u->last = &u->full;
    }

    if (u->settle && u->rc >= 0) {
        u->settle = 0;

        if (ngx_http_exam_upload_post(u, NGX_HTTP_EXAM_UPLOAD_SETTLE)
            == NGX_OK)
        {
            return;
        }
    }

    /* nothing writes any more: who comes next need not wait for the close() */

    if (ngx_http_exam_part_clean(&u->writer)) {
        ngx_http_exam_upload_unlist(u);
        (void) ngx_http_exam_writer_unlock(u->writer.fd);
    }

    if (ngx_http_exam_upload_post(u, NGX_HTTP_EXAM_UPLOAD_CLOSE) == NGX_OK) {
        return;
    }

    if (ngx_http_exam_part_clean(&u->writer) || ngx_http_exam_spool.exiting) {
        ngx_http_exam_upload_unlist(u);
        (void) close(u->writer.fd);
        u->writer.fd = -1;

        return;
    }

    ngx_http_exam_upload_later(u);
}


/* asked for by a newcomer */

void
ngx_http_exam_upload_yield(const ngx_http_exam_yield_t *ask)
{
    ngx_queue_t             *q, *list;
    ngx_connection_t        *c;
    ngx_http_request_t      *r;
    ngx_http_exam_upload_t  *u;

    list = &ngx_http_exam_upload_lists[ask->id[0]
                                       % NGX_HTTP_EXAM_UPLOAD_LISTS];
    if (list->next == NULL) {
        return;
    }

    for (q = ngx_queue_head(list);
         q != ngx_queue_sentinel(list);
         q = ngx_queue_next(q))
    {
        u = ngx_queue_data(q, ngx_http_exam_upload_t, queue);

        if (ngx_memcmp(u->raw, ask->id, sizeof(u->raw)) == 0) {
            goto found;
        }
    }

    return;

found:

    if (u->state == NGX_HTTP_EXAM_UPLOAD_ENDED) {
        u->settle = 1;
        return;
    }

    /*
     * The latest one wins, also of two newcomers; but whose body is all there
     * is answered: nobody has to send it again.
     */

    if (ask->since <= u->since || u->eof
        || (u->state != NGX_HTTP_EXAM_UPLOAD_OPENED
            && u->state != NGX_HTTP_EXAM_UPLOAD_RECEIVING))
    {
        return;
    }

    r = u->r;
    c = r->connection;
    ngx_http_set_log_request(c->log, r);

    ngx_log_error(NGX_LOG_INFO, c->log, 0,
                  "exam upload is taken over by another request");

    ngx_http_exam_count(u->mcf, uploads_taken_over_total, 1);

    u->settle = 1;

    ngx_http_exam_upload_post_stream(r);
    ngx_http_exam_upload_drop(u);
    ngx_http_finalize_request(r, NGX_HTTP_CLOSE);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_exam_upload_ask(ngx_http_exam_upload_t *u, ngx_http_exam_yield_t *ask)
{
    exam_str_t  id;

    id = u->writer.manifest.id;

    ngx_memzero(ask, sizeof(ngx_http_exam_yield_t));
    ask->since = u->since;

    (void) exam_hex_decode(id.data + id.len - 2 * sizeof(ask->id),
                           2 * sizeof(ask->id), ask->id, sizeof(ask->id));
}


static void
ngx_http_exam_upload_list(ngx_http_exam_upload_t *u)
{
    ngx_queue_t            *list;
    ngx_http_exam_yield_t   ask;

    ngx_http_exam_upload_ask(u, &ask);
    ngx_memcpy(u->raw, ask.id, sizeof(u->raw));

    list = &ngx_http_exam_upload_lists[u->raw[0] % NGX_HTTP_EXAM_UPLOAD_LISTS];

    if (list->next == NULL) {
        ngx_queue_init(list);
    }

    ngx_queue_insert_head(list, &u->queue);
    u->listed = 1;
}


static void
ngx_http_exam_upload_unlist(ngx_http_exam_upload_t *u)
{
    if (u->listed) {
        ngx_queue_remove(&u->queue);
        u->listed = 0;
    }
}
