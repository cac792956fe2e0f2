# the 202 is given when an event lies in memory
# file: ngx_exam_module/ngx_http_exam_events.c
# test: t/410-events.t
/^ngx_http_exam_events_write/,/^}/s/(&record, ngx_http_exam_events_synced,$/(\&record, i == EXAM_EVENTS_MAX ? ngx_http_exam_events_synced : NULL,/
/^ngx_http_exam_events_write/,/^}/s/ev->waiting++;/;/
