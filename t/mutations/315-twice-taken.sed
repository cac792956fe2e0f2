# a field that stands there twice is taken
# file: ngx_exam_module/ngx_http_exam_uploads.c
# test: t/350-tus-fields.t
# proves: T05
s/if (value->data != NULL) {/if (0) {/
