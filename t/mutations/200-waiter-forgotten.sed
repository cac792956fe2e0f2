# who waits for a buffer is not woken
# file: ngx_exam_module/ngx_http_exam_buffers.c
# test: t/326-buffers.t
s/^    ngx_post_event(&w->event, &ngx_posted_events);$//
