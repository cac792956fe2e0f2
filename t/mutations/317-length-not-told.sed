# HEAD does not tell the length
# file: ngx_exam_module/ngx_http_exam_tus.c
# test: t/351-tus-uploads.t
# proves: T07 C03
/^ngx_http_exam_tus_offset/,/^}/s/if (m->length >= 0) {/if (m->length > 1 << 30) {/
