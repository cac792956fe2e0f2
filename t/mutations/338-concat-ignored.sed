# Upload-Concat is passed over
# file: ngx_exam_module/ngx_http_exam_tus.c
# test: t/350-tus-fields.t
# proves: T60
s/if (up->f.concat.data != NULL) {/if (0) {/
