
/*
 * tus 1.0.0: what its requests may say, and how they are answered.  Core,
 * creation, creation-with-upload, creation-defer-length, expiration, checksum,
 * termination; no concatenation, no trailers.
 *
 * Runs on the event loop; called by ngx_http_exam_uploads.c for a request and
 * by ngx_http_exam_resume.c for its answer.
 */


#include "ngx_http_exam_resume.h"


#define NGX_HTTP_EXAM_TUS_TYPE  "application/offset+octet-stream"


static exam_err_e ngx_http_exam_tus_create(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up);
static ngx_uint_t ngx_http_exam_tus_type(ngx_http_request_t *r);
static ngx_int_t ngx_http_exam_tus_created(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u);
static ngx_int_t ngx_http_exam_tus_offset(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u);
static ngx_int_t ngx_http_exam_tus_appended(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u);
static ngx_int_t ngx_http_exam_tus_fields(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u);


const ngx_http_exam_answers_t  ngx_http_exam_tus_answers = {
    ngx_http_exam_tus_created,
    ngx_http_exam_tus_offset,
    ngx_http_exam_tus_appended,
    ngx_http_exam_resume_mismatch,
    ngx_http_exam_tus_fields
};


exam_err_e
ngx_http_exam_tus_check(ngx_http_request_t *r, ngx_http_exam_uploads_t *up)
{
    exam_err_e  err;

    if (up->f.checksum.data != NULL) {
        err = exam_tus_checksum(up->f.checksum, &up->check);

        if (err != EXAM_OK) {
            return ngx_http_exam_tell(r, err, "Upload-Checksum is one of "
                                      EXAM_TUS_CHECKSUMS " and base64");
        }

        up->has_check = 1;
    }

    if (up->method == NGX_HTTP_POST) {
        return ngx_http_exam_tus_create(r, up);
    }

    if (!ngx_http_exam_tus_type(r)) {
        return ngx_http_exam_tell(r, EXAM_ERR_UNSUPPORTED_TYPE,
                                  "Content-Type is " NGX_HTTP_EXAM_TUS_TYPE);
    }

    return up->offset < 0
           ? ngx_http_exam_tell(r, EXAM_ERR_BAD_UPLOAD_HEADER,
                                "Upload-Offset is missing")
           : EXAM_OK;
}


static exam_err_e
ngx_http_exam_tus_create(ngx_http_request_t *r, ngx_http_exam_uploads_t *up)
{
    /* concatenation is not offered: nobody shall believe that it was done */

    if (up->f.concat.data != NULL) {
        return ngx_http_exam_tell(r, EXAM_ERR_BAD_UPLOAD_HEADER,
                                  "Upload-Concat is not offered");
    }

    if (up->f.defer.data != NULL && !exam_str_eq(up->f.defer, exam_str("1"))) {
        return ngx_http_exam_tell(r, EXAM_ERR_BAD_UPLOAD_HEADER,
                                  "Upload-Defer-Length is 1");
    }

    if ((up->f.length.data != NULL) == (up->f.defer.data != NULL)) {
        return ngx_http_exam_tell(r, EXAM_ERR_BAD_UPLOAD_HEADER,
                                  "either Upload-Length, or"
                                  " Upload-Defer-Length: 1");
    }

    /* without a body its type says nothing: some clients always send one */

    if (up->has_body && !ngx_http_exam_tus_type(r)) {
        return ngx_http_exam_tell(r, EXAM_ERR_UNSUPPORTED_TYPE,
                                  "Content-Type is " NGX_HTTP_EXAM_TUS_TYPE);
    }

    if (up->length >= 0 && up->content > up->length) {
        return ngx_http_exam_tell(r, EXAM_ERR_TOO_LARGE,
                                  "more than Upload-Length");
    }

    return ngx_http_exam_uploads_metadata(r, up);
}


static ngx_uint_t
ngx_http_exam_tus_type(ngx_http_request_t *r)
{
    size_t      len;
    ngx_str_t  *value;

    if (r->headers_in.content_type == NULL) {
        return 0;
    }

    value = &r->headers_in.content_type->value;
    len = sizeof(NGX_HTTP_EXAM_TUS_TYPE) - 1;

    return value->len >= len
           && ngx_strncasecmp(value->data, (u_char *) NGX_HTTP_EXAM_TUS_TYPE,
                              len)
              == 0
           && (value->len == len || value->data[len] == ';'
               || value->data[len] == ' ');
}


static ngx_int_t
ngx_http_exam_tus_created(ngx_http_request_t *r, ngx_http_exam_upload_t *u)
{
    ngx_http_exam_resume_t  *re;

    re = u->data;

    if (ngx_http_exam_uploads_location(r, u->writer.manifest.id) != NGX_OK
        || ngx_http_exam_resume_expires(r, u) != NGX_OK
        || ngx_http_exam_resume_digest(r, u) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* told only to who has sent something, or finds an upload as it was left */

    if ((re->has_body || !re->created)
        && ngx_http_exam_resume_offset(r, u) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_exam_empty(r, NGX_HTTP_CREATED);
}


static ngx_int_t
ngx_http_exam_tus_offset(ngx_http_request_t *r, ngx_http_exam_upload_t *u)
{
    ngx_int_t         rc;
    ngx_str_t         value;
    exam_manifest_t  *m;

    static ngx_str_t  one = ngx_string("1");

    m = &u->writer.manifest;

    if (m->length >= 0) {
        rc = ngx_http_exam_uploads_number(r, "Upload-Length", m->length);

    } else {
        rc = ngx_http_exam_header(r, "Upload-Defer-Length", &one);
    }

    if (rc != NGX_OK || ngx_http_exam_resume_offset(r, u) != NGX_OK
        || ngx_http_exam_resume_expires(r, u) != NGX_OK
        || ngx_http_exam_resume_digest(r, u) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (m->metadata.len > 0) {
        value.data = (u_char *) m->metadata.data;
        value.len = m->metadata.len;

        if (ngx_http_exam_uploads_value(r, "Upload-Metadata", &value)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_http_exam_empty(r, NGX_HTTP_OK);
}


static ngx_int_t
ngx_http_exam_tus_appended(ngx_http_request_t *r, ngx_http_exam_upload_t *u)
{
    if (ngx_http_exam_resume_offset(r, u) != NGX_OK
        || ngx_http_exam_resume_expires(r, u) != NGX_OK
        || ngx_http_exam_resume_digest(r, u) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_exam_empty(r, NGX_HTTP_NO_CONTENT);
}


static ngx_int_t
ngx_http_exam_tus_fields(ngx_http_request_t *r, ngx_http_exam_upload_t *u)
{
    ngx_http_exam_resume_t  *re;

    re = u->data;

    if (re->created
        && ngx_http_exam_uploads_location(r, u->writer.manifest.id) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_exam_resume_offset(r, u) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_exam_resume_expires(r, u);
}
