# a client below the least rate keeps its place
# file: ngx_exam_module/ngx_http_exam_admit.c
# test: t/327-admission.t
/^ngx_http_exam_admit_slow/,/^}/s/return bytes \* 1000 </return 0 * bytes * 1000 >/
