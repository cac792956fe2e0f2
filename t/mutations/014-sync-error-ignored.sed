# a failed sync is taken for a sync
# file: ngx_exam_module/ngx_http_exam_writer.c
# test: t/320-put-disk.t
/^    if (fdatasync(w->fd) != 0) {/,/^    }/s/return ngx_http_exam_writer_failed(w, "fdatasync()");/(void) ngx_http_exam_writer_failed(w, "fdatasync()");/
