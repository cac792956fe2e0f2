
/*
 * The endpoint `exam uploads`: /api/v1/uploads and /api/v1/uploads/{id}, spoken
 * in tus 1.0.0 and in the resumable uploads of the IETF (DESIGN 3.1).
 *
 * Here: the path, the method that is meant, protocol and version, the token;
 * fields that responses of both have.  What the protocols say stands in
 * ngx_http_exam_tus.c and ngx_http_exam_rufh.c, what becomes of it in
 * ngx_http_exam_resume.c.  Runs on the event loop.  Everything that can be
 * refused is refused before the body is asked for.
 */


#include "ngx_http_exam_cors.h"
#include "ngx_http_exam_uploads.h"


#define NGX_HTTP_EXAM_UPLOADS_ALL  "OPTIONS, POST"
#define NGX_HTTP_EXAM_UPLOADS_ONE  "HEAD, PATCH, DELETE"
#define NGX_HTTP_EXAM_UPLOADS_RECORDINGS  "/api/v1/recordings/"


typedef struct {
    ngx_str_t   name;
    size_t      offset;             /* in ngx_http_exam_uploads_fields_t */
} ngx_http_exam_uploads_field_t;

typedef struct {
    ngx_str_t   name;
    ngx_uint_t  method;
} ngx_http_exam_uploads_method_t;


static ngx_int_t ngx_http_exam_uploads_path(ngx_http_request_t *r,
    exam_str_t *id);
static ngx_uint_t ngx_http_exam_uploads_method(ngx_http_request_t *r,
    const ngx_http_exam_uploads_t *up);
static ngx_uint_t ngx_http_exam_uploads_meant(ngx_http_request_t *r,
    const exam_str_t *name);
static exam_err_e ngx_http_exam_uploads_check(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up);
static ngx_uint_t ngx_http_exam_uploads_here(ngx_http_request_t *r);
static u_char *ngx_http_exam_uploads_absolute(ngx_http_request_t *r,
    size_t len, ngx_str_t *url);
static void ngx_http_exam_uploads_take(ngx_http_exam_uploads_fields_t *f,
    const ngx_table_elt_t *h);


#define NGX_HTTP_EXAM_UPLOADS_FIELD(name, member)                             \
    { ngx_string(name), offsetof(ngx_http_exam_uploads_fields_t, member) }

static const ngx_http_exam_uploads_field_t  ngx_http_exam_uploads_known[] = {
    NGX_HTTP_EXAM_UPLOADS_FIELD("Tus-Resumable", resumable),
    NGX_HTTP_EXAM_UPLOADS_FIELD("X-HTTP-Method-Override", override),
    NGX_HTTP_EXAM_UPLOADS_FIELD("Upload-Offset", offset),
    NGX_HTTP_EXAM_UPLOADS_FIELD("Upload-Length", length),
    NGX_HTTP_EXAM_UPLOADS_FIELD("Upload-Defer-Length", defer),
    NGX_HTTP_EXAM_UPLOADS_FIELD("Upload-Metadata", metadata),
    NGX_HTTP_EXAM_UPLOADS_FIELD("Upload-Checksum", checksum),
    NGX_HTTP_EXAM_UPLOADS_FIELD("Upload-Concat", concat),
    NGX_HTTP_EXAM_UPLOADS_FIELD("Upload-Complete", complete),
    NGX_HTTP_EXAM_UPLOADS_FIELD("Upload-Draft-Interop-Version", interop)
};

static const ngx_http_exam_uploads_method_t  ngx_http_exam_uploads_methods[] =
{
    { ngx_string("GET"), NGX_HTTP_GET },
    { ngx_string("HEAD"), NGX_HTTP_HEAD },
    { ngx_string("POST"), NGX_HTTP_POST },
    { ngx_string("PATCH"), NGX_HTTP_PATCH },
    { ngx_string("DELETE"), NGX_HTTP_DELETE },
    { ngx_string("OPTIONS"), NGX_HTTP_OPTIONS }
};


ngx_int_t
ngx_http_exam_uploads_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    exam_err_e                err;
    ngx_http_exam_ctx_t      *ctx;
    ngx_http_exam_uploads_t  *up;

    ctx = ngx_http_exam_ctx(r);
    up = ngx_pcalloc(r->pool, sizeof(ngx_http_exam_uploads_t));

    if (ctx == NULL || up == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->data = up;

    ngx_http_exam_uploads_fields(r, &up->f);

    up->dialect = ngx_http_exam_uploads_dialect(&up->f);
    up->method = ngx_http_exam_uploads_method(r, up);

    rc = ngx_http_exam_uploads_path(r, &up->id);

    if (rc == NGX_ABORT) {
        return ngx_http_exam_problem(r, EXAM_ERR_NOT_FOUND, NULL);
    }

    if (up->method == NGX_HTTP_OPTIONS) {
        return ngx_http_exam_uploads_options(r);
    }

    if (up->dialect == NGX_HTTP_EXAM_TUS && up->method != NGX_HTTP_GET
        && !exam_str_eq(up->f.resumable, exam_str(NGX_HTTP_EXAM_TUS_VERSION)))
    {
        return ngx_http_exam_problem(r,
                   ngx_http_exam_tell(r, EXAM_ERR_BAD_VERSION, "Tus-Resumable"
                                      " is " NGX_HTTP_EXAM_TUS_VERSION), NULL);
    }

    if (rc != NGX_OK) {
        return ngx_http_exam_problem(r, EXAM_ERR_UPLOAD_NOT_FOUND, NULL);
    }

    if (up->id.len == 0 && up->method != NGX_HTTP_POST) {
        return ngx_http_exam_not_allowed(r, NGX_HTTP_EXAM_UPLOADS_ALL);
    }

    if (up->id.len > 0 && !(up->method & (NGX_HTTP_HEAD|NGX_HTTP_PATCH
                                          |NGX_HTTP_DELETE)))
    {
        return ngx_http_exam_not_allowed(r,
                   up->dialect == NGX_HTTP_EXAM_TUS
                   ? "OPTIONS, " NGX_HTTP_EXAM_UPLOADS_ONE
                   : "OPTIONS, GET, " NGX_HTTP_EXAM_UPLOADS_ONE);
    }

    err = ngx_http_exam_session(r, ctx, up->method == NGX_HTTP_HEAD
                                        ? EXAM_ACTION_LOOK
                                        : EXAM_ACTION_UPLOAD);

    if (err == EXAM_OK) {
        err = ngx_http_exam_uploads_check(r, up);
    }

    if (err != EXAM_OK) {
        return ngx_http_exam_problem(r, err, NULL);
    }

    return ngx_http_exam_resume(r, up);
}


/* what the header alone decides */

static exam_err_e
ngx_http_exam_uploads_check(ngx_http_request_t *r, ngx_http_exam_uploads_t *up)
{
    ngx_uint_t  has;
    exam_err_e  err;

    if (up->f.twice.len > 0) {
        return ngx_http_exam_tell(r, EXAM_ERR_BAD_UPLOAD_HEADER,
                                  "%*s stands twice", up->f.twice.len,
                                  up->f.twice.data);
    }

    up->offset = -1;
    up->length = -1;
    up->content = -1;

    if (!r->headers_in.chunked) {
        up->content = ngx_max(r->headers_in.content_length_n, 0);
    }

    up->has_body = (up->content != 0);

    if (!(up->method & (NGX_HTTP_POST|NGX_HTTP_PATCH))) {
        return EXAM_OK;
    }

    if (up->f.offset.data != NULL
        && !exam_tus_number(up->f.offset, &up->offset))
    {
        return ngx_http_exam_tell(r, EXAM_ERR_BAD_UPLOAD_HEADER,
                                  "Upload-Offset is a whole number");
    }

    if (up->f.length.data != NULL
        && !exam_tus_number(up->f.length, &up->length))
    {
        return ngx_http_exam_tell(r, EXAM_ERR_BAD_UPLOAD_HEADER,
                                  "Upload-Length is a whole number");
    }

    err = (up->dialect == NGX_HTTP_EXAM_TUS)
          ? ngx_http_exam_tus_check(r, up) : ngx_http_exam_rufh_check(r, up);

    if (err != EXAM_OK) {
        return err;
    }

    if (up->length > ngx_http_exam_main_conf(r)->max_bytes) {
        return ngx_http_exam_tell(r, EXAM_ERR_TOO_LARGE, "at most %O bytes",
                                  ngx_http_exam_main_conf(r)->max_bytes);
    }

    if (up->length >= 0 && up->offset > up->length) {
        return ngx_http_exam_tell(r, EXAM_ERR_BAD_UPLOAD_HEADER,
                                  "Upload-Offset is beyond Upload-Length");
    }

    err = ngx_http_exam_digest_of(r, "Repr-Digest", up->digest, &has);

    if (err != EXAM_OK) {
        return err;
    }

    up->has_digest = has;

    if (up->has_check) {
        return EXAM_OK;
    }

    /* as atomic as an append with a checksum of tus */

    err = ngx_http_exam_digest(r, up->check.digest, &has);

    up->check.alg = EXAM_TUS_SHA256;
    up->check.len = EXAM_HASH_LEN;
    up->has_check = has;

    return err;
}


exam_err_e
ngx_http_exam_uploads_metadata(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up)
{
    exam_err_e  err;
    exam_str_t  wrong;

    if (up->f.metadata.data == NULL) {
        up->f.metadata = exam_str("");
    }

    err = exam_tus_metadata(up->f.metadata, up->memory, &up->meta);
    wrong = up->meta.wrong;

    if (err == EXAM_ERR_HEADERS_TOO_LARGE) {
        return ngx_http_exam_tell(r, err, "Upload-Metadata has at most %d"
                                  " bytes and %d keys", EXAM_METADATA_MAX,
                                  EXAM_TUS_PAIRS_MAX);
    }

    if (err != EXAM_ERR_BAD_METADATA) {
        return err;
    }

    if (wrong.len == 0) {
        return ngx_http_exam_tell(r, err, "Upload-Metadata is keys with"
                                  " base64, separated by commas, each once");
    }

    if (exam_str_eq(wrong, exam_str("kind"))) {
        (void) ngx_http_exam_recordings_kind(r, 1);
        return err;
    }

    if (exam_str_eq(wrong, exam_str("n"))) {
        return ngx_http_exam_tell(r, err, NGX_HTTP_EXAM_TELL_N);
    }

    return ngx_http_exam_tell(r, err, "%*s is a whole number", wrong.len,
                              wrong.data);
}


/*
 * NGX_OK: the collection (id empty) or an upload; NGX_DECLINED: a malformed id;
 * NGX_ABORT: nothing of ours.
 */

static ngx_int_t
ngx_http_exam_uploads_path(ngx_http_request_t *r, exam_str_t *id)
{
    size_t  len;

    len = sizeof(NGX_HTTP_EXAM_UPLOADS_PATH) - 1;
    *id = exam_str("");

    if (r->uri.len < len
        || ngx_memcmp(r->uri.data, NGX_HTTP_EXAM_UPLOADS_PATH, len) != 0)
    {
        return NGX_ABORT;
    }

    if (r->uri.len == len) {
        return NGX_OK;
    }

    if (r->uri.data[len] != '/') {
        return NGX_ABORT;
    }

    *id = exam_str_make(r->uri.data + len + 1, r->uri.len - len - 1);

    if (id->len == 0) {
        return NGX_OK;
    }

    return exam_id_upload(*id) ? NGX_OK : NGX_DECLINED;
}


/*
 * Proxies and old browsers do not let all methods through; to tus the one of
 * the request then means nothing.  It stays what it is: so it is answered.  A
 * GET of the draft is as a HEAD.
 */

static ngx_uint_t
ngx_http_exam_uploads_method(ngx_http_request_t *r,
    const ngx_http_exam_uploads_t *up)
{
    ngx_uint_t  method;

    method = ngx_http_exam_uploads_meant(r, &up->f.override);

    if (method == NGX_HTTP_GET && up->dialect == NGX_HTTP_EXAM_RUFH) {
        return NGX_HTTP_HEAD;
    }

    return method;
}


static ngx_uint_t
ngx_http_exam_uploads_meant(ngx_http_request_t *r, const exam_str_t *name)
{
    ngx_uint_t                             i;
    const ngx_http_exam_uploads_method_t  *m;

    /* a preflight is the browser's own */

    if (r->method == NGX_HTTP_OPTIONS || name->data == NULL) {
        return r->method;
    }

    m = ngx_http_exam_uploads_methods;

    for (i = 0; i < sizeof(ngx_http_exam_uploads_methods) / sizeof(*m); i++) {
        if (m[i].name.len == name->len
            && ngx_memcmp(m[i].name.data, name->data, name->len) == 0)
        {
            return m[i].method;
        }
    }

    return NGX_HTTP_UNKNOWN;
}


void
ngx_http_exam_uploads_fields(ngx_http_request_t *r,
    ngx_http_exam_uploads_fields_t *f)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    ngx_memzero(f, sizeof(ngx_http_exam_uploads_fields_t));

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            ngx_http_exam_uploads_take(f, &h[i]);
        }
    }
}


static void
ngx_http_exam_uploads_take(ngx_http_exam_uploads_fields_t *f,
    const ngx_table_elt_t *h)
{
    ngx_uint_t                            i;
    exam_str_t                           *value;
    const ngx_http_exam_uploads_field_t  *known;

    known = ngx_http_exam_uploads_known;

    for (i = 0; i < sizeof(ngx_http_exam_uploads_known) / sizeof(*known); i++)
    {
        if (known[i].name.len != h->key.len
            || ngx_strncasecmp(known[i].name.data, h->key.data, h->key.len)
               != 0)
        {
            continue;
        }

        value = (exam_str_t *) ((char *) f + known[i].offset);

        if (value->data != NULL) {
            f->twice = exam_str_make(known[i].name.data, known[i].name.len);
        }

        *value = exam_str_make(h->value.data, h->value.len);

        return;
    }
}


ngx_http_exam_dialect_e
ngx_http_exam_uploads_dialect(const ngx_http_exam_uploads_fields_t *f)
{
    bool  complete;

    /* what is no Boolean is as if it were not there */

    return (f->interop.data != NULL
            || exam_sfv_boolean(f->complete, &complete))
           ? NGX_HTTP_EXAM_RUFH : NGX_HTTP_EXAM_TUS;
}


ngx_int_t
ngx_http_exam_uploads_options(ngx_http_request_t *r)
{
    u_char      memory[NGX_HTTP_EXAM_LIMIT_MAX];
    ngx_int_t   rc;
    ngx_str_t   value;

    static ngx_str_t  version = ngx_string(NGX_HTTP_EXAM_TUS_VERSION);
    static ngx_str_t  checksums = ngx_string(EXAM_TUS_CHECKSUMS);
    static ngx_str_t  extension = ngx_string("creation,creation-with-upload,"
                  "creation-defer-length,expiration,checksum,termination");

    rc = ngx_http_exam_drop_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    value = ngx_http_exam_uploads_limit(r, memory, -1);

    if (ngx_http_exam_cors_preflight(r) == NGX_ERROR
        || ngx_http_exam_header(r, "Tus-Version", &version) != NGX_OK
        || ngx_http_exam_header(r, "Tus-Extension", &extension) != NGX_OK
        || ngx_http_exam_header(r, "Tus-Checksum-Algorithm", &checksums)
           != NGX_OK
        || ngx_http_exam_uploads_number(r, "Tus-Max-Size",
                                        ngx_http_exam_main_conf(r)->max_bytes)
           != NGX_OK
        || ngx_http_exam_uploads_value(r, "Upload-Limit", &value) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_exam_empty(r, NGX_HTTP_OK);
}


ngx_int_t
ngx_http_exam_uploads_headers(ngx_http_request_t *r, ngx_uint_t status)
{
    u_char                          memory[NGX_HTTP_EXAM_LIMIT_MAX];
    ngx_str_t                       value;
    ngx_http_exam_uploads_fields_t  f;

    static ngx_str_t  version = ngx_string(NGX_HTTP_EXAM_TUS_VERSION);

    if (!ngx_http_exam_uploads_here(r)) {
        return NGX_OK;
    }

    ngx_http_exam_uploads_fields(r, &f);

    if (ngx_http_exam_uploads_dialect(&f) == NGX_HTTP_EXAM_RUFH) {

        if (status != NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
            return NGX_OK;
        }

        value = ngx_http_exam_uploads_limit(r, memory, -1);

        return ngx_http_exam_uploads_value(r, "Upload-Limit", &value);
    }

    if (ngx_http_exam_header(r, "Tus-Resumable", &version) != NGX_OK) {
        return NGX_ERROR;
    }

    if (status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        return ngx_http_exam_uploads_number(r, "Tus-Max-Size",
                                       ngx_http_exam_main_conf(r)->max_bytes);
    }

    return (status == NGX_HTTP_PRECONDITION_FAILED)
           ? ngx_http_exam_header(r, "Tus-Version", &version) : NGX_OK;
}


exam_err_e
ngx_http_exam_uploads_error(ngx_http_request_t *r, exam_err_e err)
{
    ngx_http_exam_uploads_t  up;

    if (exam_err_info(err)->status < 500 || !ngx_http_exam_uploads_here(r)) {
        return err;
    }

    ngx_http_exam_uploads_fields(r, &up.f);
    up.dialect = NGX_HTTP_EXAM_TUS;

    return ngx_http_exam_uploads_method(r, &up) == NGX_HTTP_HEAD
           ? EXAM_ERR_UPLOAD_BUSY : err;
}


/* also where an error of nginx itself has led somewhere else */

static ngx_uint_t
ngx_http_exam_uploads_here(ngx_http_request_t *r)
{
    size_t                     len;
    ngx_http_exam_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_exam_module);

    if (lcf->endpoint == NGX_HTTP_EXAM_UPLOADS) {
        return 1;
    }

    len = sizeof(NGX_HTTP_EXAM_UPLOADS_PATH) - 1;

    return lcf->endpoint == NGX_HTTP_EXAM_PROBLEM
           && r->unparsed_uri.len >= len
           && ngx_memcmp(r->unparsed_uri.data, NGX_HTTP_EXAM_UPLOADS_PATH, len)
              == 0;
}


/* the value is copied */

ngx_int_t
ngx_http_exam_uploads_value(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_str_t  copy;

    copy.len = value->len;
    copy.data = ngx_pstrdup(r->pool, value);

    if (copy.data == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_exam_header(r, name, &copy);
}


ngx_int_t
ngx_http_exam_uploads_number(ngx_http_request_t *r, const char *name,
    int64_t n)
{
    u_char     memory[NGX_INT64_LEN];
    ngx_str_t  value;

    value.data = memory;
    value.len = ngx_sprintf(memory, "%L", n) - memory;

    return ngx_http_exam_uploads_value(r, name, &value);
}


ngx_int_t
ngx_http_exam_uploads_time(ngx_http_request_t *r, const char *name, time_t t)
{
    u_char     memory[sizeof("Mon, 28 Sep 1970 06:00:00 GMT")];
    ngx_str_t  value;

    value.data = memory;
    value.len = ngx_http_time(memory, t) - memory;

    return ngx_http_exam_uploads_value(r, name, &value);
}


ngx_int_t
ngx_http_exam_uploads_url(ngx_http_request_t *r, exam_str_t id, ngx_str_t *url)
{
    u_char  *p;

    p = ngx_http_exam_uploads_absolute(r, sizeof(NGX_HTTP_EXAM_UPLOADS_PATH)
                                          + id.len, url);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(p, NGX_HTTP_EXAM_UPLOADS_PATH "/",
                   sizeof(NGX_HTTP_EXAM_UPLOADS_PATH));
    p = ngx_cpymem(p, id.data, id.len);

    url->len = p - url->data;

    return NGX_OK;
}


/*
 * exam_public_url, or the scheme and the host of the request, which nginx has
 * checked.  HTTP/1.0 may name none: then the path alone.  Returns where the
 * path goes, which has `len` bytes; NULL: out of memory.
 */

static u_char *
ngx_http_exam_uploads_absolute(ngx_http_request_t *r, size_t len,
    ngx_str_t *url)
{
    u_char                    *p;
    ngx_str_t                  host;
    const char                *scheme;
    ngx_http_exam_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_exam_module);

    host = r->headers_in.server;

    if (r->headers_in.host != NULL) {
        host = r->headers_in.host->value;
    }

#if (NGX_HTTP_V3)

    /* nginx makes no Host of ":authority", and its own copy has no port */

    if (r->http_version == NGX_HTTP_VERSION_30 && r->host_end != NULL) {
        host.data = r->host_start;
        host.len = r->host_end - r->host_start;
    }

#endif

    scheme = "http://";

#if (NGX_HTTP_SSL)
    if (r->connection->ssl) {
        scheme = "https://";
    }
#endif

    p = ngx_pnalloc(r->pool, sizeof("https://") + lcf->public_url.len
                             + host.len + len);
    url->data = p;

    if (p == NULL) {
        return NULL;
    }

    if (lcf->public_url.len > 0) {
        return ngx_cpymem(p, lcf->public_url.data, lcf->public_url.len);
    }

    return (host.len > 0) ? ngx_sprintf(p, "%s%V", scheme, &host) : p;
}


ngx_int_t
ngx_http_exam_uploads_location(ngx_http_request_t *r, exam_str_t id)
{
    ngx_str_t  url;

    if (ngx_http_exam_uploads_url(r, id, &url) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_exam_header(r, "Location", &url);
}


/* who has created an attachment learns its number by that */

ngx_int_t
ngx_http_exam_uploads_link(ngx_http_request_t *r, const exam_manifest_t *m)
{
    u_char     *p;
    u_char      sid[EXAM_SID_HEX];
    ngx_str_t   url, link;

    static const char  rel[] = ">; rel=\"describedby\"";

    if (m->kind.len == 0) {
        return NGX_OK;
    }

    p = ngx_http_exam_uploads_absolute(r,
            sizeof(NGX_HTTP_EXAM_UPLOADS_RECORDINGS "/?session=") + m->kind.len
            + NGX_INT32_LEN + EXAM_SID_HEX, &url);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(sid, (u_char *) m->sid, EXAM_SID_LEN);

    p = ngx_sprintf(p, NGX_HTTP_EXAM_UPLOADS_RECORDINGS "%*s/%uD?session=%*s",
                    m->kind.len, m->kind.data, m->n, sizeof(sid), sid);
    url.len = p - url.data;

    link.data = ngx_pnalloc(r->pool, url.len + sizeof(rel));
    if (link.data == NULL) {
        return NGX_ERROR;
    }

    link.len = ngx_sprintf(link.data, "<%V%s", &url, rel) - link.data;

    return ngx_http_exam_header(r, "Link", &link);
}


ngx_str_t
ngx_http_exam_uploads_limit(ngx_http_request_t *r, u_char *memory, int64_t age)
{
    ngx_str_t                   value;
    exam_buf_t                  b;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);

    exam_buf_init(&b, memory, NGX_HTTP_EXAM_LIMIT_MAX);
    if (age < 0 && mcf->upload_expire != 0) {
        age = (int64_t) mcf->upload_expire / 1000;
    }

    exam_rufh_limit(&b, 0, mcf->max_bytes, -1, age);

    value.data = memory;
    value.len = exam_buf_len(&b);

    return value;
}
