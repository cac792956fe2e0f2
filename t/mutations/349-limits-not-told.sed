# 413 does not tell the limits
# file: ngx_exam_module/ngx_http_exam_uploads.c
# test: t/360-ietf.t
# proves: R15
/^ngx_http_exam_uploads_headers/,/^}/s/return ngx_http_exam_uploads_value(r, "Upload-Limit", &value);/return value.len ? NGX_OK : NGX_ERROR;/
