# the last answer does not tell that it is
# file: ngx_exam_module/ngx_http_exam_rufh.c
# test: t/360-ietf.t
# proves: R04 R08
/^ngx_http_exam_rufh_final/,/^}/s/ngx_http_exam_rufh_complete(r, 1)/ngx_http_exam_rufh_complete(r, 0)/
