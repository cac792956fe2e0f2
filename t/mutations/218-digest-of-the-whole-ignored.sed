# Repr-Digest of a PUT is passed over
# file: ngx_exam_module/ngx_http_exam_digest.c
# test: t/311-put-fields.t
s/if (err != EXAM_OK || !also) {/if (1) {/
