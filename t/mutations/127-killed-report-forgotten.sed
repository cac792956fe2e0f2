# what a killed process had to tell Redis is forgotten
# file: ngx_exam_module/ngx_http_exam_report.c
# test: t/425-commands-killed.t
/^ngx_http_exam_report_begin/,/^}/s/ngx_http_exam_bits_any(&d->redis\[NGX_HTTP_EXAM_REPORT_[A-Z]*\])/0/
