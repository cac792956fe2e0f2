# the last append is not answered again
# file: ngx_exam_module/ngx_http_exam_resume_found.c
# test: t/360-ietf.t
# proves: R17
s/return up->complete \&\& up->length == re->bytes$/return 0 \&\& up->complete \&\& up->length == re->bytes/
