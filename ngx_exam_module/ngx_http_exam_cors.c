
/*
 * exam_cors_origin: which pages of other origins may call the endpoints of
 * candidates, and read what they answer.  Credentials are bearer tokens, never
 * cookies, so that no page can use what a browser has stored for us.
 *
 * Configuration is parsed in the master, the rest runs on the event loop.
 */


#include "ngx_http_exam_cors.h"


#define NGX_HTTP_EXAM_CORS_METHODS                                            \
    "POST, HEAD, PATCH, DELETE, OPTIONS, GET, PUT"

#define NGX_HTTP_EXAM_CORS_REQUEST                                            \
    "Authorization, Origin, X-Requested-With, X-Request-ID, "                 \
    "X-HTTP-Method-Override, Content-Type, Upload-Length, Upload-Offset, "    \
    "Tus-Resumable, Upload-Metadata, Upload-Defer-Length, Upload-Concat, "    \
    "Upload-Incomplete, Upload-Complete, Upload-Draft-Interop-Version, "      \
    "Upload-Checksum, Content-Digest, Repr-Digest, Want-Repr-Digest, "        \
    "Idempotency-Key"

#define NGX_HTTP_EXAM_CORS_RESPONSE                                           \
    "Upload-Offset, Location, Upload-Length, Tus-Version, Tus-Resumable, "    \
    "Tus-Max-Size, Tus-Extension, Tus-Checksum-Algorithm, Upload-Metadata, "  \
    "Upload-Defer-Length, Upload-Concat, Upload-Complete, Upload-Expires, "   \
    "Upload-Limit, Upload-Draft-Interop-Version, Repr-Digest, Link, "        \
    "Retry-After"


static ngx_int_t ngx_http_exam_cors_field(ngx_http_request_t *r,
    const char *name, const char *value);
static ngx_str_t *ngx_http_exam_cors_request(ngx_http_request_t *r,
    const char *name);
static ngx_uint_t ngx_http_exam_cors_allowed(ngx_array_t *origins,
    ngx_str_t *origin);
static ngx_uint_t ngx_http_exam_cors_valid(ngx_str_t *origin);


char *
ngx_http_exam_conf_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_exam_loc_conf_t *lcf = conf;

    ngx_str_t   *value, *origin;
    ngx_uint_t   i;

    if (lcf->cors != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        lcf->cors = NULL;
        return NGX_CONF_OK;
    }

    lcf->cors = ngx_array_create(cf->pool, cf->args->nelts,
                                 sizeof(ngx_str_t));
    if (lcf->cors == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (!ngx_http_exam_cors_valid(&value[i])
            && (cf->args->nelts > 2 || ngx_strcmp(value[i].data, "*") != 0))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid origin \"%V\": it is scheme://host, "
                               "with :port where that is not the scheme's own, "
                               "or * alone", &value[i]);
            return NGX_CONF_ERROR;
        }

        origin = ngx_array_push(lcf->cors);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }

        *origin = value[i];
    }

    return NGX_CONF_OK;
}


/* as browsers write it: nothing behind the host and its port */

static ngx_uint_t
ngx_http_exam_cors_valid(ngx_str_t *origin)
{
    u_char  *p, *last;

    last = origin->data + origin->len;
    p = ngx_strnstr(origin->data, "://", origin->len);

    if (p == NULL || p == origin->data || p + 3 == last) {
        return 0;
    }

    for (p += 3; p < last; p++) {
        if (*p <= ' ' || *p >= 0x7f || *p == '/' || *p == ','
            || *p == '*' || (*p >= 'A' && *p <= 'Z'))
        {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
ngx_http_exam_cors_headers(ngx_http_request_t *r)
{
    ngx_str_t                 *origin;
    ngx_http_exam_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_exam_module);

    if (lcf->cors == NULL) {
        return NGX_OK;
    }

    switch (lcf->endpoint) {

    case NGX_HTTP_EXAM_HEALTH:
    case NGX_HTTP_EXAM_READY:
    case NGX_HTTP_EXAM_STATUS:
    case NGX_HTTP_EXAM_METRICS:
        return NGX_OK;

    default:
        break;
    }

    origin = lcf->cors->elts;

    if (origin->len == 1) {

        if (ngx_http_exam_cors_field(r, "Access-Control-Allow-Origin", "*")
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else {

        /* a cache must not give one origin's answer to another */

        if (ngx_http_exam_cors_field(r, "Vary", "Origin") != NGX_OK) {
            return NGX_ERROR;
        }

        origin = ngx_http_exam_cors_request(r, "Origin");

        if (origin == NULL
            || !ngx_http_exam_cors_allowed(lcf->cors, origin))
        {
            return NGX_OK;
        }

        if (ngx_http_exam_header(r, "Access-Control-Allow-Origin", origin)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_exam_cors_field(r, "Access-Control-Expose-Headers",
                                    NGX_HTTP_EXAM_CORS_RESPONSE);
}


ngx_int_t
ngx_http_exam_cors_preflight(ngx_http_request_t *r)
{
    ngx_http_exam_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_exam_module);

    if (lcf->cors == NULL || r->method != NGX_HTTP_OPTIONS
        || ngx_http_exam_cors_request(r, "Origin") == NULL
        || ngx_http_exam_cors_request(r, "Access-Control-Request-Method")
           == NULL)
    {
        return NGX_DECLINED;
    }

    if (ngx_http_exam_cors_field(r, "Access-Control-Allow-Methods",
                                 NGX_HTTP_EXAM_CORS_METHODS)
        != NGX_OK
        || ngx_http_exam_cors_field(r, "Access-Control-Allow-Headers",
                                    NGX_HTTP_EXAM_CORS_REQUEST)
           != NGX_OK
        || ngx_http_exam_cors_field(r, "Access-Control-Max-Age", "86400")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_exam_cors_allowed(ngx_array_t *origins, ngx_str_t *origin)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = origins->elts;

    for (i = 0; i < origins->nelts; i++) {
        if (value[i].len == origin->len
            && ngx_memcmp(value[i].data, origin->data, origin->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_exam_cors_field(ngx_http_request_t *r, const char *name,
    const char *value)
{
    ngx_str_t  text;

    text.data = (u_char *) value;
    text.len = ngx_strlen(value);

    return ngx_http_exam_header(r, name, &text);
}


/* a field of the request, NULL: not there */

static ngx_str_t *
ngx_http_exam_cors_request(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == len
                && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
            {
                return &h[i].value;
            }
        }
    }

    return NULL;
}
