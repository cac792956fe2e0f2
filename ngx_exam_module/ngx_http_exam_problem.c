
/*
 * Errors as problem+json (RFC 9457).  Runs on the event loop.  Error codes of
 * core become HTTP here and nowhere else.
 */


#include "ngx_http_exam_uploads.h"


#define NGX_HTTP_EXAM_DETAIL_MAX  1024
#define NGX_HTTP_EXAM_TOLD_MAX    256


static void ngx_http_exam_problem_json(ngx_http_request_t *r, exam_buf_t *b,
    exam_err_e err, const char *detail);
static ngx_int_t ngx_http_exam_retry_after(ngx_http_request_t *r,
    exam_err_e err);


static ngx_str_t  ngx_http_exam_problem_type =
    ngx_string("application/problem+json");


ngx_int_t
ngx_http_exam_problem(ngx_http_request_t *r, exam_err_e err,
    const char *detail)
{
    u_char                     *data;
    exam_buf_t                  b;
    ngx_int_t                   rc;
    const exam_err_info_t      *info;
    ngx_http_exam_main_conf_t  *mcf;

    err = ngx_http_exam_uploads_error(r, err);
    info = exam_err_info(err);
    mcf = ngx_http_exam_main_conf(r);

    rc = ngx_http_exam_drop_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (info->status >= 500) {
        ngx_http_exam_count(mcf, errors_total, 1);

    } else {
        ngx_http_exam_count(mcf, refused_total, 1);
    }

    /* a candidate's own limit says nothing of the node */

    if (err == EXAM_ERR_OVERLOADED) {
        ngx_http_exam_count(mcf, shed_total, 1);
    }

    if (ngx_http_exam_retry_after(r, err) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    data = ngx_pnalloc(r->pool, NGX_HTTP_EXAM_DETAIL_MAX);
    if (data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    exam_buf_init(&b, data, NGX_HTTP_EXAM_DETAIL_MAX);

    ngx_http_exam_problem_json(r, &b, err, detail);

    return ngx_http_exam_send(r, info->status, &ngx_http_exam_problem_type,
                              data, exam_buf_len(&b));
}


exam_err_e
ngx_http_exam_tell(ngx_http_request_t *r, exam_err_e err, const char *fmt, ...)
{
    u_char               *p;
    va_list               args;
    ngx_http_exam_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    p = ngx_pnalloc(r->pool, NGX_HTTP_EXAM_TOLD_MAX);

    if (p != NULL) {
        va_start(args, fmt);
        ctx->told.len = ngx_vslprintf(p, p + NGX_HTTP_EXAM_TOLD_MAX, fmt,
                                      args) - p;
        va_end(args);

        ctx->told.data = p;
    }

    return err;
}


static void
ngx_http_exam_problem_json(ngx_http_request_t *r, exam_buf_t *b,
    exam_err_e err, const char *detail)
{
    ngx_http_exam_ctx_t    *ctx;
    const exam_err_info_t  *info;

    info = exam_err_info(err);

    exam_buf_lit(b, "{\"type\":\"");
    exam_buf_put(b, exam_err_type(err), ngx_strlen(exam_err_type(err)));
    exam_buf_lit(b, "\",\"title\":\"");
    exam_buf_put(b, info->title, ngx_strlen(info->title));
    exam_buf_lit(b, "\",\"status\":");
    exam_buf_int(b, info->status);
    exam_buf_lit(b, ",\"code\":\"");
    exam_buf_put(b, info->code, ngx_strlen(info->code));
    exam_buf_lit(b, "\",\"detail\":\"");

    if (detail == NULL) {
        detail = info->title;
    }

    exam_buf_put(b, detail, ngx_strlen(detail));

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);

    if (ctx != NULL && ctx->told.len > 0) {
        exam_buf_lit(b, ": ");
        exam_buf_put(b, ctx->told.data, ctx->told.len);

    } else if (ctx != NULL && ctx->wrong.len > 0
               && (err == EXAM_ERR_BAD_TYPE || err == EXAM_ERR_BAD_VALUE
                   || err == EXAM_ERR_MISSING_MEMBER))
    {
        /* one of our own names: nothing to escape */

        exam_buf_lit(b, ": ");
        exam_buf_put(b, ctx->wrong.data, ctx->wrong.len);
    }

    exam_buf_lit(b, "\"");

    if (err == EXAM_ERR_SESSION_ENDED && ctx != NULL) {
        exam_buf_lit(b, ",\"reason\":\"");
        detail = exam_ended_name(ctx->snap.view.ended);
        exam_buf_put(b, detail, ngx_strlen(detail));
        exam_buf_lit(b, "\"");
    }

    if (ctx != NULL && ctx->members.len > 0) {
        exam_buf_put(b, ctx->members.data, ctx->members.len);
    }

    exam_buf_lit(b, "}\n");
}


/* with jitter, so that a refused class does not come back as one */

static ngx_int_t
ngx_http_exam_retry_after(ngx_http_request_t *r, exam_err_e err)
{
    ngx_int_t             status;
    ngx_str_t             value;
    ngx_uint_t            wait;
    ngx_http_exam_ctx_t  *ctx;

    static ngx_str_t  soon = ngx_string("1");
    static ngx_str_t  bearer = ngx_string("Bearer");

    status = exam_err_info(err)->status;

    if (status == NGX_HTTP_UNAUTHORIZED
        && err != EXAM_ERR_INVALID_CREDENTIALS)
    {
        return ngx_http_exam_header(r, "WWW-Authenticate", &bearer);
    }

    if (err == EXAM_ERR_UPLOAD_BUSY) {

        /* it is a matter of milliseconds */

        return ngx_http_exam_header(r, "Retry-After", &soon);
    }

    if (status != NGX_HTTP_SERVICE_UNAVAILABLE
        && status != NGX_HTTP_TOO_MANY_REQUESTS)
    {
        return NGX_OK;
    }

    value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    wait = 1 + (ngx_uint_t) ngx_random() % 5;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);

    if (ctx != NULL) {
        wait += ctx->wait_s;
    }

    if (err == EXAM_ERR_TOO_MANY_ATTEMPTS) {

        /* they are counted by the minute */

        wait += 60 - (ngx_uint_t) ngx_time() % 60;
    }

    value.len = ngx_sprintf(value.data, "%ui", wait) - value.data;

    return ngx_http_exam_header(r, "Retry-After", &value);
}
