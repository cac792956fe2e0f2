# a refused number is still known as received
# file: ngx_exam_module/ngx_http_exam_wanted.c
# test: t/431-resend.t
/^ngx_http_exam_forget_locked/,/^}/s/h->state = EXAM_SEG_NONE;/;/
/^ngx_http_exam_forget_locked/,/^}/s/(void) exam_ranges_remove(&set, n);/(void) n;/
