# the 201 is given before the data are synced
# file: ngx_exam_module/ngx_http_exam_writer.c
# test: t/320-put-disk.t
s/^    if (fdatasync(w->fd) != 0) {/    if (0) {/
