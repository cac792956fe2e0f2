# HEAD tells trouble by 503
# file: ngx_exam_module/ngx_http_exam_uploads.c
# test: t/352-tus-files.t
# proves: C02
/^ngx_http_exam_uploads_error/,/^}/s/== NGX_HTTP_HEAD/== 0/
