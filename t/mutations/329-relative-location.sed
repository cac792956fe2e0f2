# Location has no host
# file: ngx_exam_module/ngx_http_exam_uploads.c
# test: t/351-tus-uploads.t
# proves: T20
s/return (host.len > 0) ? /return (host.len > 1000) ? /
