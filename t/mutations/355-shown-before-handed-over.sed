# HEAD shows all bytes before they are handed over
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/352-tus-files.t
# proves: C03
s/if (m->protocol == EXAM_PROTOCOL_TUS \&\& m->length == u->writer.offset)/if (0)/
