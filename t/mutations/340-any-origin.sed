# any origin is allowed
# file: ngx_exam_module/ngx_http_exam_cors.c
# test: t/370-cors.t
# proves: T70
s/|| !ngx_http_exam_cors_allowed(lcf->cors, origin))/|| (0 \&\& !ngx_http_exam_cors_allowed(lcf->cors, origin)))/
