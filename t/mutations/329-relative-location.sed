# Location has no host
# file: ngx_exam_module/ngx_http_exam_uploads.c
# test: t/351-tus-uploads.t
# proves: T20
/^ngx_http_exam_uploads_url/,/^}/s/if (p == NULL) {/p = url->data; if (p == NULL) {/
