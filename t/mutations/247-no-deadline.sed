# a takeover waits for the disk as long as that takes
# file: ngx_exam_module/ngx_http_exam_upload_part.c
# test: t/385-takeover.t
# proves: W2 C02
s/^    ngx_add_timer(&u->deadline, NGX_HTTP_EXAM_UPLOAD_WAIT);/    (void) 0;/
