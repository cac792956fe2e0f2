# the state at the end does not count
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/360-ietf.t
# proves: R18
/^ngx_http_exam_resume_received/,/^}/s/err = ngx_http_exam_session(u->r, ctx, EXAM_ACTION_UPLOAD);/err = EXAM_OK;/
