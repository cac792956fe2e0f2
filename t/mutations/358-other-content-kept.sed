# an upload with other content stays
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/361-digests.t
# proves: P9
/^ngx_http_exam_resume_known/,/^}/s/re->err = EXAM_ERR_SEGMENT_CONFLICT;/re->err = EXAM_OK;/
