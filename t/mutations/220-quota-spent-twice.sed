# of two connections both may spend what is left of a quota
# file: ngx_exam_module/ngx_http_exam_intake.c
# test: t/347-quota.t
/^ngx_http_exam_intake_decide/,/^}/s/err = ngx_http_exam_intake_quota(u);/err = EXAM_OK;/
