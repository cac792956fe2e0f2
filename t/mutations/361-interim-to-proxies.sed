# a proxy is sent a 104, which nginx as one takes for the answer
# file: ngx_exam_module/ngx_http_exam_rufh.c
# test: t/360-ietf.t
# proves: R01
/^ngx_http_exam_rufh_proxied/,/^}/s/return 1;/return 0;/
