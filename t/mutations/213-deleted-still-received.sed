# the ledger keeps an upload that was deleted
# file: ngx_exam_module/ngx_http_exam_intake_hold.c
# test: t/348-receiving.t
/^ngx_http_exam_intake_gone/,/^}/s/(void) ngx_http_exam_settle(m, "gone"/(void) ngx_http_exam_settle(m, "receiving"/
