# a PATCH at another offset is taken
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/351-tus-uploads.t
# proves: T11 R07
s/if (re->up->offset != u->writer.offset) {/if (re->up->offset < 0) {/
