# a PATCH is answered by 200
# file: ngx_exam_module/ngx_http_exam_tus.c
# test: t/351-tus-uploads.t
# proves: T12 C04
/^ngx_http_exam_tus_appended/,/^}/s/NGX_HTTP_NO_CONTENT/NGX_HTTP_OK/
