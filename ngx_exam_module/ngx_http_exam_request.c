
/*
 * What all endpoints share: the context, authorization, bodies, replies.
 *
 * Runs on the event loop.  Errors are answered in ngx_http_exam_problem.c.
 */


#include "ngx_http_exam_cors.h"
#include "ngx_http_exam_uploads.h"


static void ngx_http_exam_status_line(ngx_http_request_t *r,
    ngx_uint_t status);
static void ngx_http_exam_body_ready(ngx_http_request_t *r);
static void ngx_http_exam_known_json(exam_buf_t *b, bool value, bool known);
static ngx_int_t ngx_http_exam_body_join(ngx_http_request_t *r,
    ngx_chain_t *in, exam_str_t *body);


static ngx_str_t  ngx_http_exam_json_type = ngx_string("application/json");


ngx_http_exam_ctx_t *
ngx_http_exam_ctx(ngx_http_request_t *r)
{
    ngx_http_exam_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);

    if (ctx == NULL) {
        ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_exam_ctx_t));
        if (ctx == NULL) {
            return NULL;
        }

        ctx->now = ngx_http_exam_now();
        ngx_http_set_ctx(r, ctx, ngx_http_exam_module);
    }

    return ctx;
}


ngx_int_t
ngx_http_exam_not_allowed(ngx_http_request_t *r, const char *allow)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    rc = ngx_http_exam_cors_preflight(r);

    if (rc != NGX_DECLINED) {
        return rc == NGX_OK ? ngx_http_exam_empty(r, NGX_HTTP_NO_CONTENT)
                            : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    value.data = (u_char *) allow;
    value.len = ngx_strlen(allow);

    if (ngx_http_exam_header(r, "Allow", &value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_exam_problem(r, EXAM_ERR_METHOD_NOT_ALLOWED, NULL);
}


ngx_int_t
ngx_http_exam_bearer(ngx_http_request_t *r, exam_str_t *token)
{
    ngx_str_t  *value;

    if (r->headers_in.authorization == NULL) {
        return NGX_DECLINED;
    }

    value = &r->headers_in.authorization->value;

    /* the scheme's name has no case (RFC 9110), but all clients send this */

    if (value->len < 7
        || (ngx_memcmp(value->data, "Bearer ", 7) != 0
            && ngx_strncasecmp(value->data, (u_char *) "Bearer ", 7) != 0))
    {
        return NGX_DECLINED;
    }

    token->data = value->data + 7;
    token->len = value->len - 7;

    return NGX_OK;
}


exam_err_e
ngx_http_exam_authorize(ngx_http_request_t *r, ngx_http_exam_ctx_t *ctx)
{
    exam_str_t                  token;
    ngx_http_exam_main_conf_t  *mcf;

    if (ngx_http_exam_bearer(r, &token) != NGX_OK) {
        return EXAM_ERR_TOKEN_MISSING;
    }

    mcf = ngx_http_exam_main_conf(r);

    return exam_token_verify(mcf->keys, EXAM_KEY_CANDIDATE, token,
                             ctx->now / 1000, &ctx->claims);
}


exam_err_e
ngx_http_exam_session(ngx_http_request_t *r, ngx_http_exam_ctx_t *ctx,
    exam_action_e action)
{
    exam_err_e                  err;
    ngx_http_exam_main_conf_t  *mcf;

    err = ngx_http_exam_authorize(r, ctx);
    if (err != EXAM_OK) {
        return err;
    }

    mcf = ngx_http_exam_main_conf(r);

    (void) ngx_http_exam_zone_touch(mcf->zone, &ctx->claims, &ctx->snap);

    err = exam_state_check(&ctx->snap.view, action, ctx->now);

    if (err == EXAM_ERR_EXAM_OVER) {
        ngx_http_exam_zone_end(mcf->zone, ctx->claims.sid,
                               EXAM_ENDED_EXAM_OVER);
    }

    return err;
}


ngx_int_t
ngx_http_exam_json(ngx_http_request_t *r, ngx_uint_t status, exam_buf_t *b)
{
    return ngx_http_exam_text(r, status, &ngx_http_exam_json_type, b);
}


ngx_int_t
ngx_http_exam_text(ngx_http_request_t *r, ngx_uint_t status, ngx_str_t *type,
    exam_buf_t *b)
{
    u_char  *data;

    if (b->overflow) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "exam reply does not fit its buffer");
        return ngx_http_exam_problem(r, EXAM_ERR_INTERNAL, NULL);
    }

    data = ngx_pnalloc(r->pool, exam_buf_len(b));
    if (data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(data, b->start, exam_buf_len(b));

    return ngx_http_exam_send(r, status, type, data, exam_buf_len(b));
}


ngx_int_t
ngx_http_exam_empty(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_int_t  rc;
    ngx_str_t  type;

    rc = ngx_http_exam_drop_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_null(&type);

    return ngx_http_exam_send(r, status, &type, NULL, 0);
}


/* of those that nginx has no words for */

static void
ngx_http_exam_status_line(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_uint_t  i;

    static const ngx_str_t  lines[] = {
        ngx_string("422 Unprocessable Content"),
        ngx_string("423 Locked"),
        ngx_string("431 Request Header Fields Too Large"),
        ngx_string("460 Checksum Mismatch")
    };

    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if ((ngx_uint_t) ngx_atoi(lines[i].data, 3) == status) {
            r->headers_out.status_line = lines[i];

            /* or that of error_page takes its place, without words */

            r->err_status = 0;
        }
    }
}


ngx_int_t
ngx_http_exam_send(ngx_http_request_t *r, ngx_uint_t status, ngx_str_t *type,
    u_char *data, size_t len)
{
    ngx_int_t                   rc;
    ngx_buf_t                  *b;
    ngx_chain_t                 out;
    ngx_http_exam_main_conf_t  *mcf;

    static ngx_str_t  cache = ngx_string("no-store");

    mcf = ngx_http_exam_main_conf(r);
    ngx_http_exam_count(mcf, requests_total, 1);

    if (ngx_http_exam_header(r, "Cache-Control", &cache) != NGX_OK
        || ngx_http_exam_uploads_headers(r, status) != NGX_OK
        || ngx_http_exam_cors_headers(r) != NGX_OK
        || ngx_http_exam_linger(r) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_exam_status_line(r, status);

    /* nothing here has a validator: nginx would answer 412 and 304 itself */

    r->disable_not_modified = 1;

    r->headers_out.status = status;
    r->headers_out.content_length_n = len;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    r->header_only |= (len == 0);

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = data;
    b->last = data + len;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


/*
 * An unread body is thrown away, without asking for it by 100 Continue.  A
 * client that waits to be asked may send it or not (RFC 9110, 10.1.1): what
 * came next could not be told from the body, so the connection ends.
 */

ngx_int_t
ngx_http_exam_drop_body(ngx_http_request_t *r)
{
    if (r->main->reading_body) {

        /* its rest is read off at the end: no request may follow it */

        r->main->keepalive = 0;
        r->main->lingering_close = 1;
    }

    if (r->request_body != NULL || r != r->main || r->internal) {
        return NGX_OK;
    }

    if (r->headers_in.expect != NULL && !r->expect_tested
        && r->http_version == NGX_HTTP_VERSION_11
        && (r->headers_in.content_length_n > 0 || r->headers_in.chunked))
    {
        r->expect_tested = 1;
        r->keepalive = 0;
        r->lingering_close = 1;

        return NGX_OK;
    }

    r->expect_tested = 1;

    return ngx_http_discard_request_body(r);
}


ngx_int_t
ngx_http_exam_header(ngx_http_request_t *r, const char *name, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;

    return NGX_OK;
}


/*
 * A body that lies whole in the header buffer, as nearly all do, is taken from
 * there: no buffer, no copy, no turn through the body filters.
 */

ngx_int_t
ngx_http_exam_body_here(ngx_http_request_t *r, exam_str_t *body)
{
    off_t       n;
    ngx_buf_t  *b;

    n = r->headers_in.content_length_n;
    b = r->header_in;

    if (n < 0 || r->headers_in.chunked || r->request_body || r != r->main
        || r->stream || n > b->last - b->pos)
    {
        return NGX_DECLINED;
    }

#if (NGX_HTTP_V3)
    if (r->http_version == NGX_HTTP_VERSION_30) {
        return NGX_DECLINED;
    }
#endif

    body->data = b->pos;
    body->len = (size_t) n;

    b->pos += n;
    r->request_length += n;

    /* nothing is left to read or to discard */

    r->headers_in.content_length_n = 0;

    return NGX_OK;
}


ngx_int_t
ngx_http_exam_read_body(ngx_http_request_t *r, size_t max,
    ngx_http_exam_body_pt handler)
{
    ngx_int_t             rc;
    exam_str_t            body;
    ngx_http_exam_ctx_t  *ctx;

    if (r->headers_in.content_length_n > (off_t) max) {
        return ngx_http_exam_problem(r, EXAM_ERR_TOO_LARGE, NULL);
    }

    if (ngx_http_exam_body_here(r, &body) == NGX_OK) {
        r->main->count++;
        handler(r, body);
        return NGX_DONE;
    }

    ctx = ngx_http_exam_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->reader = handler;

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_exam_body_ready);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static void
ngx_http_exam_body_ready(ngx_http_request_t *r)
{
    exam_str_t                body;
    ngx_http_exam_ctx_t      *ctx;
    ngx_http_request_body_t  *rb;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    rb = r->request_body;

    body.data = NULL;
    body.len = 0;

    if (rb != NULL && rb->bufs != NULL) {

        if (rb->temp_file != NULL) {
            ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                          "exam body was buffered to a file");
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        if (ngx_http_exam_body_join(r, rb->bufs, &body) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }
    }

    ctx->reader(r, body);
}


ngx_int_t
ngx_http_exam_copy(ngx_pool_t *pool, exam_str_t *s)
{
    u_char  *p;

    p = ngx_pnalloc(pool, s->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, s->data, s->len);
    s->data = p;

    return NGX_OK;
}


/* one buffer as a rule; HTTP/2 and chunked bodies may come in several */

static ngx_int_t
ngx_http_exam_body_join(ngx_http_request_t *r, ngx_chain_t *in,
    exam_str_t *body)
{
    u_char       *p;
    size_t        len;
    ngx_chain_t  *cl;

    if (in->next == NULL) {
        body->data = in->buf->pos;
        body->len = in->buf->last - in->buf->pos;
        return NGX_OK;
    }

    len = 0;

    for (cl = in; cl; cl = cl->next) {
        len += cl->buf->last - cl->buf->pos;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;
    body->len = len;

    for (cl = in; cl; cl = cl->next) {

        /* the last one of a chunked body has no memory */

        if (cl->buf->last != cl->buf->pos) {
            p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
        }
    }

    return NGX_OK;
}


void
ngx_http_exam_histogram_add(ngx_http_exam_histogram_t *h, uint64_t us)
{
    ngx_uint_t  i;

    i = (us < 2) ? 0 : 64 - (ngx_uint_t) __builtin_clzll(us - 1);

    if (i >= NGX_HTTP_EXAM_BUCKETS) {
        i = NGX_HTTP_EXAM_BUCKETS - 1;
    }

    (void) ngx_atomic_fetch_add(&h->buckets[i], 1);
    (void) ngx_atomic_fetch_add(&h->sum, us);
}


/*
 * The request's start is kept in ms, so that is the resolution at the lower
 * end; the clock is read anew because the loop's own time is that of its turn.
 */

uint64_t
ngx_http_exam_elapsed(ngx_http_request_t *r)
{
    int64_t          us;
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    us = ((int64_t) ts.tv_sec - r->start_sec) * 1000000 + ts.tv_nsec / 1000
         - (int64_t) r->start_msec * 1000;

    return us > 0 ? (uint64_t) us : 0;
}


void
ngx_http_exam_status_json(exam_buf_t *b, const exam_view_t *view, int64_t now)
{
    exam_status_t  st;

    st = exam_state_status(view, now);

    exam_buf_lit(b, "\"status\":{\"locked\":");
    ngx_http_exam_known_json(b, st.locked, view->known);
    exam_buf_lit(b, ",\"paused\":");
    ngx_http_exam_known_json(b, st.paused, view->known);
    exam_buf_lit(b, ",\"closed\":");
    ngx_http_exam_known_json(b, st.closed, view->known);
    exam_buf_lit(b, "}");
}


/* a cold node would unlock with a `false` whom it does not know yet */

static void
ngx_http_exam_known_json(exam_buf_t *b, bool value, bool known)
{
    if (value || known) {
        ngx_http_exam_bool_json(b, value);

    } else {
        exam_buf_lit(b, "null");
    }
}


void
ngx_http_exam_bool_json(exam_buf_t *b, bool value)
{
    if (value) {
        exam_buf_lit(b, "true");

    } else {
        exam_buf_lit(b, "false");
    }
}


void
ngx_http_exam_stored_json(exam_buf_t *b, const exam_kinds_t *kinds,
    const int32_t *stored)
{
    size_t  i;

    exam_buf_lit(b, "\"stored\":{");

    for (i = 0; i < kinds->n; i++) {

        if (i > 0) {
            exam_buf_char(b, ',');
        }

        exam_buf_char(b, '"');
        exam_buf_put(b, kinds->name[i].data, kinds->name[i].len);
        exam_buf_lit(b, "\":");

        if (stored[i] == NGX_HTTP_EXAM_STORED_NULL) {
            exam_buf_lit(b, "null");

        } else {
            exam_buf_int(b, stored[i]);
        }
    }

    exam_buf_char(b, '}');
}


/* ms, null for a time that is not known (0) */

void
ngx_http_exam_time_json(exam_buf_t *b, int64_t ms)
{
    if (ms == 0) {
        exam_buf_lit(b, "null");

    } else {
        exam_buf_int(b, ms);
    }
}


int64_t
ngx_http_exam_token_exp(ngx_http_exam_main_conf_t *mcf, int64_t own_end,
    int64_t now)
{
    return (ngx_max(own_end, now) + (int64_t) mcf->late_upload) / 1000 + 86400;
}
