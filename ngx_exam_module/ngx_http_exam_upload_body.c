
/*
 * The receiving half of the upload engine (see ngx_http_exam_upload.h): from
 * the connection into the ring of buffers.
 *
 * The connection is read while the ring has room.  A full ring stops the
 * reading, and with it the client (TCP, or HTTP/2's window).  nginx's own
 * buffer is made to point into the ring, so that data are received where they
 * are written from; chunked bodies, forms and HTTP/2 are copied.
 *
 * Event loop only.  Invariants: never read while the ring is full or after the
 * end; whoever calls _fail or _drop without a reference of its own returns at
 * once.
 */


#include "ngx_http_exam_upload.h"


static void ngx_http_exam_upload_body(ngx_http_request_t *r);
static void ngx_http_exam_upload_read(ngx_http_request_t *r);
static void ngx_http_exam_upload_broken(ngx_http_exam_upload_t *u,
    ngx_int_t rc);
static void ngx_http_exam_upload_turn(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_pause(ngx_http_exam_upload_t *u);
static ngx_int_t ngx_http_exam_upload_take(ngx_http_exam_upload_t *u);
static ngx_int_t ngx_http_exam_upload_piece(ngx_http_exam_upload_t *u);
static ngx_int_t ngx_http_exam_upload_room(ngx_http_exam_upload_t *u);
static ngx_int_t ngx_http_exam_upload_buffer(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_idle(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_eof(ngx_http_exam_upload_t *u);
static void ngx_http_exam_upload_push(ngx_http_exam_upload_t *u);


ngx_int_t
ngx_http_exam_upload_receive(ngx_http_exam_upload_t *u)
{
    u->r->request_body_no_buffering = 1;

    return ngx_http_read_client_request_body(u->r, ngx_http_exam_upload_body);
}


static void
ngx_http_exam_upload_body(ngx_http_request_t *r)
{
    ngx_buf_t               *b;
    ngx_http_exam_ctx_t     *ctx;
    ngx_http_exam_upload_t  *u;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    u = ctx->data;
    b = r->request_body->buf;

    if (r->reading_body && b != NULL && b->pos == b->last
        && r->http_version < NGX_HTTP_VERSION_20 && !r->headers_in.chunked
        && u->filter == NULL)
    {
        u->in_place = 1;
        u->saved = *b;
    }

    r->read_event_handler = ngx_http_exam_upload_read;

    ngx_http_exam_upload_pump(u);
}


static void
ngx_http_exam_upload_read(ngx_http_request_t *r)
{
    ngx_http_exam_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);

    ngx_http_exam_upload_pump(ctx->data);
}


void
ngx_http_exam_upload_pump(ngx_http_exam_upload_t *u)
{
    off_t                start;
    ngx_int_t            rc;
    ngx_event_t         *rev;
    ngx_http_request_t  *r;

    r = u->r;
    rev = r->connection->read;
    start = u->received;

    for ( ;; ) {
        rc = ngx_http_exam_upload_take(u);

        if (rc == NGX_ERROR) {
            ngx_http_exam_upload_fail(u, EXAM_ERR_INTERNAL);
            return;
        }

        if (rc == NGX_DECLINED && u->refusal == EXAM_OK) {
            u->overrun = 1;
            ngx_http_exam_upload_eof(u);
            return;
        }

        if (rc == NGX_DECLINED) {
            ngx_http_exam_upload_fail(u, u->refusal);
            return;
        }

        if (rc == NGX_OK && !r->reading_body) {
            ngx_http_exam_upload_eof(u);
            return;
        }

        if (rc == NGX_OK) {
            rc = ngx_http_exam_upload_room(u);
        }

        if (rc == NGX_ERROR) {
            ngx_http_exam_upload_fail(u, EXAM_ERR_INTERNAL);
            return;
        }

        if (rc == NGX_AGAIN) {

            /* the disk is slow, not the client: it gets no 408 for that */

            if (rev->timer_set) {
                ngx_del_timer(rev);
            }

            ngx_http_exam_upload_pause(u);
            return;
        }

        /* a buffer a turn, so that others do not wait for this client */

        if (u->received - start >= NGX_HTTP_EXAM_BUFFER_LARGE
            && rev->ready && r->http_version < NGX_HTTP_VERSION_20)
        {
            ngx_http_exam_upload_turn(u);
            return;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            ngx_http_exam_upload_broken(u, rc);
            return;
        }

        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            ngx_http_exam_upload_idle(u);
            ngx_http_exam_upload_pause(u);
            return;
        }
    }
}


/* the connection's end may have been read behind bytes that count */

static void
ngx_http_exam_upload_broken(ngx_http_exam_upload_t *u, ngx_int_t rc)
{
    ngx_http_request_t  *r;

    r = u->r;

    if (u->resumable) {
        (void) ngx_http_exam_upload_take(u);
    }

    ngx_http_exam_upload_drop(u);
    ngx_http_finalize_request(r, rc);
}


/* to be gone on with behind the others' events */

static void
ngx_http_exam_upload_turn(ngx_http_exam_upload_t *u)
{
    ngx_event_t               *rev;
    ngx_http_core_loc_conf_t  *clcf;

    rev = u->r->connection->read;

    ngx_post_event(rev, &ngx_posted_next_events);
    ngx_http_exam_upload_idle(u);

    /* a process that is to leave stays for its timers alone */

    if (!rev->timer_set) {
        clcf = ngx_http_get_module_loc_conf(u->r, ngx_http_core_module);
        ngx_add_timer(rev, clcf->client_body_timeout);
    }
}


/*
 * There is nothing to read, or no room: now what is full is written.  Not
 * earlier: of a fast client two buffers go to the thread at a time, which saves
 * a tenth of the CPU.
 */

static void
ngx_http_exam_upload_pause(ngx_http_exam_upload_t *u)
{
    if (ngx_http_exam_upload_write(u) != NGX_OK) {
        ngx_http_exam_upload_fail(u, EXAM_ERR_OVERLOADED);
    }
}


/*
 * What nginx has read into buffers of the ring.  NGX_AGAIN: the ring is full;
 * NGX_DECLINED: the body is refused, u->refusal tells why.
 */

static ngx_int_t
ngx_http_exam_upload_take(ngx_http_exam_upload_t *u)
{
    size_t                   n;
    ngx_int_t                rc;
    ngx_http_exam_buffer_t  *to;

    for ( ;; ) {
        rc = ngx_http_exam_upload_piece(u);

        if (rc != NGX_OK) {
            return (rc == NGX_DONE) ? NGX_OK : rc;
        }

        while (u->piece.len > 0) {

            if (u->current == NULL) {
                rc = ngx_http_exam_upload_room(u);

                if (rc != NGX_OK) {
                    return rc;
                }
            }

            to = u->current;
            n = ngx_min(u->piece.len, to->room - to->len);

            if ((off_t) n > u->limit - u->received) {
                return NGX_DECLINED;
            }

            if (u->piece.data != to->data + to->len) {
                ngx_memcpy(to->data + to->len, u->piece.data, n);
            }

            u->piece.data += n;
            u->piece.len -= n;
            to->len += n;

            ngx_http_exam_upload_came(u, n);

            if (to->len == to->room) {
                ngx_http_exam_upload_push(u);
            }
        }
    }
}


/* the next bytes that are to be kept; NGX_DONE: none are here */

static ngx_int_t
ngx_http_exam_upload_piece(ngx_http_exam_upload_t *u)
{
    ngx_buf_t                *b;
    exam_err_e                err;
    exam_str_t                in;
    ngx_chain_t              *cl;
    ngx_http_request_body_t  *rb;

    rb = u->r->request_body;

    while (u->piece.len == 0) {
        cl = rb->bufs;

        if (cl == NULL) {
            return NGX_DONE;
        }

        b = cl->buf;

        if (b->pos == b->last) {
            rb->bufs = cl->next;
            ngx_free_chain(u->r->pool, cl);
            continue;
        }

        in = exam_str_make(b->pos, b->last - b->pos);

        if (u->filter == NULL) {
            u->piece = in;
            b->pos = b->last;
            continue;
        }

        err = u->filter(u, &in, &u->piece);

        if (err != EXAM_OK) {
            u->refusal = err;
            return NGX_DECLINED;
        }

        b->pos = b->last - in.len;
    }

    return NGX_OK;
}


/* a buffer with room in it, and nginx's own made to point there */

static ngx_int_t
ngx_http_exam_upload_room(ngx_http_exam_upload_t *u)
{
    ngx_int_t                rc;
    ngx_buf_t               *b;
    ngx_http_exam_buffer_t  *to;

    if (u->current == NULL) {
        rc = ngx_http_exam_upload_buffer(u);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (u->in_place) {
        b = u->r->request_body->buf;
        to = u->current;

        b->start = to->data;
        b->pos = to->data + to->len;
        b->last = b->pos;
        b->end = to->data + to->room;

        u->swapped = 1;
    }

    return NGX_OK;
}


/* NGX_AGAIN: later, after a write of ours or when another upload gives one */

static ngx_int_t
ngx_http_exam_upload_buffer(ngx_http_exam_upload_t *u)
{
    size_t                   size, most;
    ngx_uint_t               full;
    ngx_http_exam_buffer_t  *b;

    size = u->fast ? NGX_HTTP_EXAM_BUFFER_LARGE : NGX_HTTP_EXAM_BUFFER_SMALL;
    most = (u->r->http_version < NGX_HTTP_VERSION_20)
           ? NGX_HTTP_EXAM_UPLOAD_HELD : NGX_HTTP_EXAM_UPLOAD_HELD_2;

    if (u->held == NGX_HTTP_EXAM_UPLOAD_RING || u->held_bytes + size > most)
    {
        return NGX_AGAIN;
    }

    b = ngx_http_exam_buffer_get(u->fast ? NGX_HTTP_EXAM_LARGE
                                         : NGX_HTTP_EXAM_SMALL, &full);

    if (b == NULL && full) {
        ngx_http_exam_count(u->mcf, upload_waits_total, 1);
        ngx_http_exam_buffer_wait(&u->wait);
        return NGX_AGAIN;
    }

    if (b == NULL) {
        return NGX_ERROR;
    }

    /* behind a prefix that ends within a block: back to the alignment */

    b->room -= (u->base + u->received) % NGX_HTTP_EXAM_WRITER_ALIGN;

    u->current = b;
    u->held++;
    u->held_bytes += b->size;
    u->filling = ngx_current_msec;

    return NGX_OK;
}


void
ngx_http_exam_upload_refill(ngx_event_t *ev)
{
    ngx_connection_t        *c;
    ngx_http_exam_upload_t  *u = ev->data;

    ngx_http_exam_buffer_wait_cancel(&u->wait);

    c = u->r->connection;
    ngx_http_set_log_request(c->log, u->r);

    ngx_http_exam_upload_pump(u);

    ngx_http_run_posted_requests(c);

    ngx_http_exam_buffers_wake();
}


/* waiting for the client: an empty buffer is of more use elsewhere */

static void
ngx_http_exam_upload_idle(ngx_http_exam_upload_t *u)
{
    if (u->current != NULL && u->current->len == 0) {
        ngx_http_exam_upload_restore(u);
        ngx_http_exam_upload_put(u, u->current);
        u->current = NULL;
    }
}


static void
ngx_http_exam_upload_eof(ngx_http_exam_upload_t *u)
{
    u->eof = 1;
    u->eof_us = ngx_http_exam_writer_clock_us();

    /* a client that leaves now leaves a complete upload: it is kept */

    u->r->read_event_handler = ngx_http_block_reading;

    ngx_http_exam_upload_idle(u);
    ngx_http_exam_upload_restore(u);

    if (u->current != NULL) {
        ngx_http_exam_upload_push(u);
    }

    if (ngx_http_exam_upload_write(u) != NGX_OK) {
        ngx_http_exam_upload_fail(u, EXAM_ERR_OVERLOADED);
    }
}


/* full, or the last one; how long it took tells what the next one is */

static void
ngx_http_exam_upload_push(ngx_http_exam_upload_t *u)
{
    u->fast = u->current->len / NGX_HTTP_EXAM_UPLOAD_FAST
              >= ngx_current_msec - u->filling;

    *u->last = u->current;
    u->last = &u->current->next;
    u->current = NULL;
}


void
ngx_http_exam_upload_restore(ngx_http_exam_upload_t *u)
{
    ngx_buf_t  *b;

    if (u->swapped) {
        b = u->r->request_body->buf;

        b->start = u->saved.start;
        b->pos = u->saved.start;
        b->last = u->saved.start;
        b->end = u->saved.end;

        u->swapped = 0;
    }
}
