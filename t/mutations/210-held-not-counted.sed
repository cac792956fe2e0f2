# an incomplete upload that nobody brings holds no slot
# file: ngx_exam_module/ngx_http_exam_open.c
# test: t/348-receiving.t
/^ngx_http_exam_open_count/,/^}/s/if (held->kind == kind/if (0/
