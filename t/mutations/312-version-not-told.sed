# 412 does not tell the version
# file: ngx_exam_module/ngx_http_exam_uploads.c
# test: t/350-tus-fields.t
# proves: T02
s/return (status == NGX_HTTP_PRECONDITION_FAILED)/return (status == 0)/
