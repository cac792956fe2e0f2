# a creation that is repeated makes another upload
# file: ngx_exam_module/ngx_http_exam_resume_create.c
# test: t/361-digests.t
# proves: W6
s/same = (up->length == length);/same = 0;/
