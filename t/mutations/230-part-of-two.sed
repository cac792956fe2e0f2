# a part is taken over while another one has it
# file: ngx_exam_module/ngx_http_exam_part_find.c
# test: unit/part
# proves: R12
s/^    if (ngx_http_exam_writer_lock(w->fd, 0) != 0) {/    if (0) {/
