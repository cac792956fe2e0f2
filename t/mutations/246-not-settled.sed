# who is asked for an upload leaves the syncs to the next one
# file: ngx_exam_module/ngx_http_exam_upload_part.c
# test: t/385-takeover.t
# proves: W2
s/^    if (u->settle \&\& u->rc >= 0) {/    if (0) {/
