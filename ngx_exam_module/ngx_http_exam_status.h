
/*
 * What /status and /metrics share.  Event loop.
 */


#ifndef NGX_HTTP_EXAM_STATUS_H_INCLUDED
#define NGX_HTTP_EXAM_STATUS_H_INCLUDED


#include "ngx_http_exam_module.h"


typedef struct {
    ngx_uint_t  sessions;
    ngx_uint_t  online;
    size_t      used;               /* bytes of the zone */
} ngx_http_exam_zone_figures_t;


/* NGX_DECLINED: to be answered; else what the content handler returns */

ngx_int_t ngx_http_exam_operator(ngx_http_request_t *r);

void ngx_http_exam_zone_figures(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_zone_figures_t *f);


#endif /* NGX_HTTP_EXAM_STATUS_H_INCLUDED */
