# an upload may declare any length
# file: ngx_exam_module/ngx_http_exam_uploads.c
# test: t/350-tus-fields.t
# proves: T21
s/if (up->length > ngx_http_exam_main_conf(r)->max_bytes) {/if (0) {/
