# two uploads of one number are both acknowledged
# file: ngx_exam_module/ngx_http_exam_segment.c
# test: t/300-put.t
/^ngx_http_exam_zone_segment_reserve/,/^}/s/h != NULL && h->state == EXAM_SEG_RECEIVED/0/
/^ngx_http_exam_zone_segment_reserve/,/^}/s/h != NULL && !ngx_http_exam_dead(h->pid)/0/
