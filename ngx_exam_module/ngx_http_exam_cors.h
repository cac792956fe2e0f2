
/*
 * Cross-origin requests of browsers: the directive exam_cors_origin, its
 * response fields, preflights.  Event loop only.
 */


#ifndef NGX_HTTP_EXAM_CORS_H_INCLUDED
#define NGX_HTTP_EXAM_CORS_H_INCLUDED


#include "ngx_http_exam_module.h"


/* fields of any response of a candidate's endpoint; nothing unless allowed */

ngx_int_t ngx_http_exam_cors_headers(ngx_http_request_t *r);

/*
 * OPTIONS that a browser sends before a request: the fields that it wants.
 * NGX_DECLINED: it is none, or no origin is configured.
 */

ngx_int_t ngx_http_exam_cors_preflight(ngx_http_request_t *r);


#endif /* NGX_HTTP_EXAM_CORS_H_INCLUDED */
