# nobody is asked to let go
# file: ngx_exam_module/ngx_http_exam_upload_part.c
# test: t/361-digests.t
# proves: W2 R12
/^ngx_http_exam_upload_yield/,/^}/s/if (ask->since <= u->since/if (1 || ask->since <= u->since/
