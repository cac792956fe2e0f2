# a number that has come by PUT keeps the place of its incomplete upload
# file: ngx_exam_module/ngx_http_exam_intake.c
# test: t/349-ended-otherwise.t
s/if (durable && !in->held) {/if (0) {/
