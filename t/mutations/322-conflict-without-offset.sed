# 409 does not tell the offset
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/351-tus-uploads.t
# proves: T11 R07
/^ngx_http_exam_resume_mismatch/,/^}/s/if (p == NULL || ngx_http_exam_resume_offset(r, u) != NGX_OK) {/if (p == NULL) {/
