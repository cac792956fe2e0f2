# an upload whose lengths disagree goes on
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/360-ietf.t
# proves: R09
s/if (err == EXAM_ERR_UPLOAD_LENGTH \&\& re->dialect == NGX_HTTP_EXAM_RUFH) {/if (0) {/
