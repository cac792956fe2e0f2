# X-HTTP-Method-Override is ignored
# file: ngx_exam_module/ngx_http_exam_uploads.c
# test: t/350-tus-fields.t
# proves: T06
s/if (r->method == NGX_HTTP_OPTIONS || name->data == NULL) {/if (1) {/
