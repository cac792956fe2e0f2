# lengths of the draft need not agree
# file: ngx_exam_module/ngx_http_exam_rufh.c
# test: t/360-ietf.t
# proves: R09
s/if (up->length >= 0 \&\& up->length != up->content) {/if (0) {/
