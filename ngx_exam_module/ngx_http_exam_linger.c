
/*
 * What a client of HTTP/3 goes on to send behind its answer is read off, as
 * nginx does it for HTTP/1.1 (lingering_time).  Without that
 * nginx asks it to stop, and Chromium, asked so before its body is out, never
 * hands the answer on.
 */


#include "ngx_http_exam_module.h"


#if (NGX_HTTP_V3)

typedef struct {
    ngx_http_request_t  *r;
    ngx_event_t          event;
} ngx_http_exam_linger_t;


static void ngx_http_exam_linger_begin(ngx_event_t *ev);
static void ngx_http_exam_linger_read(ngx_http_request_t *r);
static void ngx_http_exam_linger_cleanup(void *data);

#endif


/* whoever sends the answer ends the request in this turn, as ever */

ngx_int_t
ngx_http_exam_linger(ngx_http_request_t *r)
{
#if (NGX_HTTP_V3)
    ngx_http_cleanup_t      *cln;
    ngx_http_exam_linger_t  *linger;

    if (r->http_version != NGX_HTTP_VERSION_30 || r != r->main
        || (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked)
        || (r->request_body != NULL && !r->reading_body)
        || r->connection->error || ngx_exiting || ngx_terminate)
    {
        return NGX_OK;
    }

    cln = ngx_http_cleanup_add(r, sizeof(ngx_http_exam_linger_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    linger = cln->data;
    ngx_memzero(linger, sizeof(ngx_http_exam_linger_t));

    linger->r = r;
    linger->event.data = linger;
    linger->event.handler = ngx_http_exam_linger_begin;
    linger->event.log = r->connection->log;

    cln->handler = ngx_http_exam_linger_cleanup;

    /* behind the end of the request, which is not its last one now */

    r->count++;
    ngx_post_event(&linger->event, &ngx_posted_events);
#endif

    return NGX_OK;
}


#if (NGX_HTTP_V3)

static void
ngx_http_exam_linger_begin(ngx_event_t *ev)
{
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_exam_linger_t    *linger = ev->data;
    ngx_http_core_loc_conf_t  *clcf;

    r = linger->r;
    c = r->connection;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    ngx_http_set_log_request(c->log, r);

    if (!r->done) {
        /* the answer itself waits for the client: no more of this */
        ngx_http_finalize_request(r, NGX_DONE);
        return;
    }

    r->read_event_handler = ngx_http_exam_linger_read;
    ngx_add_timer(c->read, clcf->lingering_time);

    ngx_http_exam_linger_read(r);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_exam_linger_read(ngx_http_request_t *r)
{
    u_char             memory[4096];
    ssize_t            n;
    ngx_connection_t  *c;

    c = r->connection;

    if (!c->read->timedout) {

        do {
            n = c->recv(c, memory, sizeof(memory));
        } while (n > 0);

        if (n == NGX_AGAIN && ngx_handle_read_event(c->read, 0) == NGX_OK) {
            return;
        }
    }

    ngx_http_finalize_request(r, NGX_DONE);
}


static void
ngx_http_exam_linger_cleanup(void *data)
{
    ngx_http_exam_linger_t  *linger = data;

    if (linger->event.posted) {
        ngx_delete_posted_event(&linger->event);
    }
}

#endif
