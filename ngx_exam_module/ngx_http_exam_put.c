
/*
 * PUT /api/v1/recordings/{kind}/{n}: the body is the segment (DESIGN 3.1).
 * What may be uploaded, and once, is ngx_http_exam_intake.h's.  Runs on the
 * event loop.
 */


#include "ngx_http_exam_intake.h"


static exam_err_e ngx_http_exam_put_open(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg, uint8_t digest[EXAM_HASH_LEN],
    ngx_uint_t *has);
static ngx_http_exam_upload_t *ngx_http_exam_put_create(ngx_http_request_t *r,
    const ngx_http_exam_segment_t *seg);


static const ngx_http_exam_upload_handlers_t  ngx_http_exam_put_handlers = {
    NULL,
    ngx_http_exam_intake_received,
    NULL,
    ngx_http_exam_intake_finished,
    ngx_http_exam_intake_ended,
    NULL,
    NULL
};


void
ngx_http_exam_put(ngx_http_request_t *r, ngx_http_exam_segment_t *seg)
{
    uint8_t                  digest[EXAM_HASH_LEN];
    ngx_uint_t               has;
    exam_err_e               err;
    ngx_http_exam_upload_t  *u;
    ngx_http_exam_intake_t  *in;

    err = ngx_http_exam_put_open(r, seg, digest, &has);

    if (err != EXAM_OK) {
        ngx_http_finalize_request(r, ngx_http_exam_problem(r, err, NULL));
        return;
    }

    u = ngx_http_exam_put_create(r, seg);

    if (u == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    in = u->data;

    in->has_digest = has;
    ngx_memcpy(in->digest, digest, EXAM_HASH_LEN);

    err = ngx_http_exam_intake_open(u);

    if (err != EXAM_OK) {
        ngx_http_exam_upload_fail(u, err);
        return;
    }

    ngx_http_exam_intake_ask(u);
}


/* what the header alone decides */

static exam_err_e
ngx_http_exam_put_open(ngx_http_request_t *r, ngx_http_exam_segment_t *seg,
    uint8_t digest[EXAM_HASH_LEN], ngx_uint_t *has)
{
    off_t        length;
    ngx_str_t   *type;
    exam_err_e   err;

    seg->content_type = exam_str("");

    if (r->headers_in.content_type != NULL) {
        type = &r->headers_in.content_type->value;
        seg->content_type = exam_str_make(type->data, type->len);
    }

    length = r->headers_in.chunked
             ? -1 : ngx_max(r->headers_in.content_length_n, 0);

    err = ngx_http_exam_intake_fields(r);

    if (err == EXAM_OK) {
        err = ngx_http_exam_intake_check(r, seg, length);
    }

    if (err == EXAM_OK) {
        err = ngx_http_exam_digest_whole(r, digest, has);
    }

    return err;
}


static ngx_http_exam_upload_t *
ngx_http_exam_put_create(ngx_http_request_t *r,
    const ngx_http_exam_segment_t *seg)
{
    ngx_http_exam_upload_t  *u;

    u = ngx_http_exam_upload_create(r, &ngx_http_exam_put_handlers,
                                    sizeof(ngx_http_exam_intake_t));
    if (u == NULL) {
        return NULL;
    }

    if (ngx_http_exam_intake_init(u, seg, NULL) != NGX_OK) {
        ngx_http_exam_upload_drop(u);
        return NULL;
    }

    if (!r->headers_in.chunked) {
        u->writer.length = r->headers_in.content_length_n;
        ((ngx_http_exam_intake_t *) u->data)->length = u->writer.length;
    }

    return u;
}
