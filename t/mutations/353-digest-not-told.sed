# the digest of the whole is not told
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/361-digests.t
# proves: D03 R04
s/if (!re->complete || !re->has_hash) {/if (!re->complete || re->has_hash) {/
