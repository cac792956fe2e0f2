# preflights get no fields
# file: ngx_exam_module/ngx_http_exam_cors.c
# test: t/370-cors.t
# proves: T70
s/if (lcf->cors == NULL || r->method != NGX_HTTP_OPTIONS/if (1 || lcf->cors == NULL || r->method != NGX_HTTP_OPTIONS/
