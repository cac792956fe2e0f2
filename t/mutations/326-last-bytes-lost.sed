# bytes that come with the end of a connection are lost
# file: ngx_exam_module/ngx_http_exam_upload_body.c
# test: t/351-tus-uploads.t
# proves: T14 T27
/^ngx_http_exam_upload_broken/,/^}/s/if (u->resumable) {/if (0) {/
