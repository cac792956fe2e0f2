# a wrong checksum is taken
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/351-tus-uploads.t
# proves: T41
s/if (u->writer.has_check \&\& !u->writer.check_ok) {/if (0) {/
