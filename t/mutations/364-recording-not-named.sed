# answers of uploads do not name the recording
# file: ngx_exam_module/ngx_http_exam_uploads.c
# test: t/351-tus-uploads.t
# proves: W11
s/if (m->kind.len == 0) {/if (1) {/
