# a length that is told can be changed
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/351-tus-uploads.t
# proves: T24
s/if (m->length >= 0 \&\& m->length != up->length) {/if (0) {/
