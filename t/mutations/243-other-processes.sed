# other processes are not asked for an upload
# file: ngx_exam_module/ngx_http_exam_upload_part.c
# test: t/385-takeover.t
# proves: W2
s/^            ngx_http_exam_yield_ask(u->writer.spool, &ask);/            (void) ask;/
