# a PATCH of any type is taken
# file: ngx_exam_module/ngx_http_exam_tus.c
# test: t/350-tus-fields.t
# proves: T10
/^ngx_http_exam_tus_check/,/^}/s/if (!ngx_http_exam_tus_type(r)) {/if (0) {/
