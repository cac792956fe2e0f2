# 104 is sent to any client
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/360-ietf.t
# proves: R01
s/if (re->dialect == NGX_HTTP_EXAM_RUFH \&\& re->up->interop$/if (re->dialect == NGX_HTTP_EXAM_RUFH/
