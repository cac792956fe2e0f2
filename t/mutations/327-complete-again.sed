# a PATCH to a complete upload may have bytes
# file: ngx_exam_module/ngx_http_exam_resume_found.c
# test: t/351-tus-uploads.t
# proves: T16
s/return up->content == 0 ? EXAM_OK : EXAM_ERR_TOO_LARGE;/return EXAM_OK;/
