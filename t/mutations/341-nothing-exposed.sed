# fields are not shown to pages
# file: ngx_exam_module/ngx_http_exam_cors.c
# test: t/370-cors.t
# proves: T71
s/^    "Retry-After"$/    ""/
