# acks are not told again to a Redis that was emptied
# file: ngx_exam_module/ngx_http_exam_report.c
# test: t/421-commands-nodes.t
/^ngx_http_exam_report_again_locked/,/^}/s/d->session != NULL/d->session == NULL/
