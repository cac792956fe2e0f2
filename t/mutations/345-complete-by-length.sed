# all bytes make an upload of the draft complete
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/360-ietf.t
# proves: R11 R13
s/? m->length == u->writer.offset : re->up->complete;/? m->length == u->writer.offset : (re->up->complete || m->length == u->writer.offset);/
