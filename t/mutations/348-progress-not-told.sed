# no offsets are told meanwhile
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/360-ietf.t
# proves: R14
s/u->tell_every = NGX_HTTP_EXAM_RESUME_TELL;/u->tell_every = 0;/
