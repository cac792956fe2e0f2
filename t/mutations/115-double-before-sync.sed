# an event that failed is a double when it comes again
# file: ngx_exam_module/ngx_http_exam_events.c
# test: t/415-journal-disk.t
/^ngx_http_exam_events_write/,/^}/s/ev->accepted++;/ngx_http_exam_recent_keep(mcf->zone, ev->hashes[i]); &/
