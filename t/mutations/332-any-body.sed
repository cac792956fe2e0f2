# a creation takes a body of any type
# file: ngx_exam_module/ngx_http_exam_tus.c
# test: t/350-tus-fields.t
# proves: T25
s/if (up->has_body \&\& !ngx_http_exam_tus_type(r)) {/if (0) {/
