
/*
 * Resumable uploads for HTTP, the draft of the IETF, interop version 8: what
 * its requests may say, and how they are answered.
 *
 * Interim responses (104) are written to HTTP/1.1 connections only, and only
 * for clients that name this version: nginx has none of its own for HTTP/2.
 * Runs on the event loop; called as ngx_http_exam_tus.c.
 */


#include "ngx_http_exam_resume.h"


#define NGX_HTTP_EXAM_RUFH_TYPE  "application/partial-upload"


static exam_err_e ngx_http_exam_rufh_create(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up);
static exam_err_e ngx_http_exam_rufh_append(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up);
static ngx_int_t ngx_http_exam_rufh_created(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u);
static ngx_int_t ngx_http_exam_rufh_offset(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u);
static ngx_int_t ngx_http_exam_rufh_appended(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u);
static ngx_int_t ngx_http_exam_rufh_mismatch(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u);
static ngx_int_t ngx_http_exam_rufh_fields(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u);
static ngx_int_t ngx_http_exam_rufh_final(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u);
static ngx_int_t ngx_http_exam_rufh_complete(ngx_http_request_t *r,
    ngx_uint_t complete);
static ngx_int_t ngx_http_exam_rufh_limits(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u);
static ngx_uint_t ngx_http_exam_rufh_proxied(ngx_http_request_t *r);


const ngx_http_exam_answers_t  ngx_http_exam_rufh_answers = {
    ngx_http_exam_rufh_created,
    ngx_http_exam_rufh_offset,
    ngx_http_exam_rufh_appended,
    ngx_http_exam_rufh_mismatch,
    ngx_http_exam_rufh_fields
};


exam_err_e
ngx_http_exam_rufh_check(ngx_http_request_t *r, ngx_http_exam_uploads_t *up)
{
    bool  complete;

    if (!exam_sfv_boolean(up->f.complete, &complete)) {
        return ngx_http_exam_tell(r, EXAM_ERR_BAD_UPLOAD_HEADER,
                                  "Upload-Complete is ?0 or ?1");
    }

    up->complete = complete;
    up->interop = exam_str_eq(up->f.interop,
                              exam_str(NGX_HTTP_EXAM_RUFH_VERSION));

    if (up->length > EXAM_SFV_INT_MAX || up->offset > EXAM_SFV_INT_MAX) {
        return ngx_http_exam_tell(r, EXAM_ERR_BAD_UPLOAD_HEADER, "at most %L",
                                  (int64_t) EXAM_SFV_INT_MAX);
    }

    return (up->method == NGX_HTTP_POST) ? ngx_http_exam_rufh_create(r, up)
                                         : ngx_http_exam_rufh_append(r, up);
}


static exam_err_e
ngx_http_exam_rufh_create(ngx_http_request_t *r, ngx_http_exam_uploads_t *up)
{
    if (up->complete && up->content >= 0) {

        if (up->length >= 0 && up->length != up->content) {
            return EXAM_ERR_UPLOAD_LENGTH;
        }

        up->length = up->content;
    }

    if (up->length >= 0 && up->content > up->length) {
        return EXAM_ERR_UPLOAD_LENGTH;
    }

    return ngx_http_exam_uploads_metadata(r, up);
}


static exam_err_e
ngx_http_exam_rufh_append(ngx_http_request_t *r, ngx_http_exam_uploads_t *up)
{
    size_t      len;
    ngx_str_t  *value;

    value = (r->headers_in.content_type != NULL)
            ? &r->headers_in.content_type->value : NULL;
    len = sizeof(NGX_HTTP_EXAM_RUFH_TYPE) - 1;

    if (value == NULL || value->len < len
        || ngx_strncasecmp(value->data, (u_char *) NGX_HTTP_EXAM_RUFH_TYPE,
                           len)
           != 0
        || (value->len > len && value->data[len] != ';'
            && value->data[len] != ' '))
    {
        return ngx_http_exam_tell(r, EXAM_ERR_UNSUPPORTED_TYPE,
                                  "Content-Type is " NGX_HTTP_EXAM_RUFH_TYPE);
    }

    if (up->offset < 0) {
        return ngx_http_exam_tell(r, EXAM_ERR_BAD_UPLOAD_HEADER,
                                  "Upload-Offset is missing");
    }

    if (up->complete && up->content >= 0) {

        if (up->length >= 0 && up->length != up->offset + up->content) {
            return EXAM_ERR_UPLOAD_LENGTH;
        }

        up->length = up->offset + up->content;
    }

    return EXAM_OK;
}


static ngx_int_t
ngx_http_exam_rufh_created(ngx_http_request_t *r, ngx_http_exam_upload_t *u)
{
    ngx_http_exam_resume_t  *re;

    re = u->data;

    if (ngx_http_exam_uploads_location(r, u->writer.manifest.id) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (re->complete) {
        return ngx_http_exam_rufh_final(r, u);
    }

    if (ngx_http_exam_rufh_limits(r, u) != NGX_OK
        || ngx_http_exam_rufh_complete(r, 0) != NGX_OK
        || ngx_http_exam_resume_offset(r, u) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_exam_empty(r, NGX_HTTP_CREATED);
}


static ngx_int_t
ngx_http_exam_rufh_offset(ngx_http_request_t *r, ngx_http_exam_upload_t *u)
{
    ngx_http_exam_resume_t  *re;

    re = u->data;

    if (ngx_http_exam_resume_offset(r, u) != NGX_OK
        || ngx_http_exam_rufh_complete(r, re->complete) != NGX_OK
        || ngx_http_exam_rufh_limits(r, u) != NGX_OK
        || ngx_http_exam_resume_digest(r, u) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (u->writer.manifest.length >= 0
        && ngx_http_exam_uploads_number(r, "Upload-Length",
                                        u->writer.manifest.length)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_exam_empty(r, NGX_HTTP_NO_CONTENT);
}


static ngx_int_t
ngx_http_exam_rufh_appended(ngx_http_request_t *r, ngx_http_exam_upload_t *u)
{
    ngx_http_exam_resume_t  *re;

    re = u->data;

    if (re->complete) {
        return ngx_http_exam_rufh_final(r, u);
    }

    if (ngx_http_exam_resume_offset(r, u) != NGX_OK
        || ngx_http_exam_rufh_complete(r, 0) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_exam_empty(r, NGX_HTTP_NO_CONTENT);
}


static ngx_int_t
ngx_http_exam_rufh_mismatch(ngx_http_request_t *r, ngx_http_exam_upload_t *u)
{
    if (ngx_http_exam_rufh_complete(r, 0) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_exam_resume_mismatch(r, u);
}


static ngx_int_t
ngx_http_exam_rufh_fields(ngx_http_request_t *r, ngx_http_exam_upload_t *u)
{
    ngx_http_exam_resume_t  *re;

    re = u->data;

    if (re->created
        && ngx_http_exam_uploads_location(r, u->writer.manifest.id) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_exam_rufh_complete(r, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_exam_resume_offset(r, u);
}


/* of the whole upload: as that of a PUT */

static ngx_int_t
ngx_http_exam_rufh_final(ngx_http_request_t *r, ngx_http_exam_upload_t *u)
{
    u_char                   memory[NGX_HTTP_EXAM_JSON_MAX];
    exam_buf_t               b;
    exam_manifest_t         *m;
    ngx_http_exam_resume_t  *re;

    re = u->data;
    m = &u->writer.manifest;

    if (ngx_http_exam_rufh_complete(r, 1) != NGX_OK
        || ngx_http_exam_resume_offset(r, u) != NGX_OK
        || ngx_http_exam_resume_digest(r, u) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    exam_buf_init(&b, memory, sizeof(memory));

    exam_buf_lit(&b, "{\"id\":");
    exam_buf_json(&b, m->id);
    exam_buf_lit(&b, ",\"bytes\":");
    exam_buf_int(&b, m->length);
    exam_buf_lit(&b, ",\"sha256\":");

    if (re->has_hash) {
        exam_buf_char(&b, '"');
        exam_buf_hex(&b, m->sha256, EXAM_HASH_LEN);
        exam_buf_char(&b, '"');

    } else {
        exam_buf_lit(&b, "null");
    }

    exam_buf_lit(&b, ",\"state\":\"received\"");

    /* its number was given here */

    if (exam_str_eq(m->kind, exam_str("file"))) {
        exam_buf_lit(&b, ",\"kind\":\"file\",\"n\":");
        exam_buf_uint(&b, m->n);
    }

    exam_buf_lit(&b, "}\n");

    return ngx_http_exam_json(r, re->replay ? NGX_HTTP_OK : NGX_HTTP_CREATED,
                              &b);
}


static ngx_int_t
ngx_http_exam_rufh_complete(ngx_http_request_t *r, ngx_uint_t complete)
{
    static ngx_str_t  yes = ngx_string("?1");
    static ngx_str_t  no = ngx_string("?0");

    return ngx_http_exam_header(r, "Upload-Complete", complete ? &yes : &no);
}


static ngx_int_t
ngx_http_exam_rufh_limits(ngx_http_request_t *r, ngx_http_exam_upload_t *u)
{
    u_char                   memory[NGX_HTTP_EXAM_LIMIT_MAX];
    time_t                   left;
    ngx_str_t                value;
    ngx_http_exam_resume_t  *re;

    re = u->data;
    left = -1;

    /* what is complete does not expire */

    if (!re->complete && !re->elsewhere && u->mcf->upload_expire != 0) {
        left = ngx_max(ngx_http_exam_resume_end(u) - ngx_time(), 0);
    }

    value = ngx_http_exam_uploads_limit(r, memory, left);

    return ngx_http_exam_uploads_value(r, "Upload-Limit", &value);
}


/* the fields by which proxies tell who has asked them, or their address */

static ngx_uint_t
ngx_http_exam_rufh_proxied(ngx_http_request_t *r)
{
    ngx_uint_t                 i;
    ngx_list_part_t           *part;
    ngx_table_elt_t           *h;
    ngx_http_exam_loc_conf_t  *lcf;

    static ngx_str_t  forwarded = ngx_string("X-Forwarded-");

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_exam_module);

    if (lcf->public_url.len > 0) {
        return 1;
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_strcasecmp(h[i].key.data, (u_char *) "Via") == 0
                || ngx_strcasecmp(h[i].key.data, (u_char *) "Forwarded") == 0
                || ngx_strcasecmp(h[i].key.data, (u_char *) "X-Real-IP") == 0
                || ngx_strncasecmp(h[i].key.data, forwarded.data,
                                   forwarded.len)
                   == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


/*
 * Optional, and not for proxies: nginx as one takes any 1xx but 100 for the
 * answer, and its client would wait for ever.
 */

void
ngx_http_exam_rufh_interim(ngx_http_request_t *r, ngx_http_exam_upload_t *u,
    int64_t offset)
{
    ssize_t            n;
    u_char            *p, *last;
    u_char             limit[NGX_HTTP_EXAM_LIMIT_MAX];
    ngx_str_t          value, location;
    ngx_connection_t  *c;

    u_char  memory[1024];

    c = r->connection;

    /* what is still to be sent of the response before this one goes first */

    if (r->http_version != NGX_HTTP_VERSION_11 || r != r->main
        || r->header_sent || c->buffered || c->error
        || ngx_http_exam_rufh_proxied(r))
    {
        return;
    }

    p = memory;
    last = memory + sizeof(memory);

    p = ngx_slprintf(p, last, "HTTP/1.1 104 Upload Resumption Supported" CRLF
                     "Upload-Draft-Interop-Version: "
                     NGX_HTTP_EXAM_RUFH_VERSION CRLF);

    if (offset >= 0) {
        p = ngx_slprintf(p, last, "Upload-Offset: %L" CRLF CRLF, offset);

    } else {

        if (ngx_http_exam_uploads_url(r, u->writer.manifest.id, &location)
            != NGX_OK)
        {
            return;
        }

        value = ngx_http_exam_uploads_limit(r, limit, -1);

        p = ngx_slprintf(p, last, "Location: %V" CRLF
                         "Upload-Limit: %V" CRLF CRLF, &location, &value);
    }

    /* an over-long host: no interim response is better than a torn one */

    if (p == last) {
        return;
    }

    n = c->send(c, memory, p - memory);

    if (n == NGX_AGAIN) {
        return;
    }

    if (n != p - memory) {

        /* a torn head cannot be mended, see ngx_http_test_expect() */

        c->error = 1;
    }
}
