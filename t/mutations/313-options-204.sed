# OPTIONS is answered by 204
# file: ngx_exam_module/ngx_http_exam_uploads.c
# test: t/350-tus-fields.t
# proves: T03
/^ngx_http_exam_uploads_options/,/^}/s/NGX_HTTP_OK);/NGX_HTTP_NO_CONTENT);/
