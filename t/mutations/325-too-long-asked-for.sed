# a body that is too long is asked for
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/351-tus-uploads.t
# proves: T13
s/if (m->length >= 0 \&\& up->content > m->length - u->writer.offset) {/if (0) {/
