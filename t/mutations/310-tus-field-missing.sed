# responses do not carry Tus-Resumable
# file: ngx_exam_module/ngx_http_exam_uploads.c
# test: t/350-tus-fields.t
# proves: T01
/^ngx_http_exam_uploads_headers/,/^}/s/ngx_http_exam_header(r, "Tus-Resumable", &version) != NGX_OK/0/
