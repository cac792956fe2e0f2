# what is given up goes on
# file: ngx_exam_module/ngx_http_exam_intake_end.c
# test: t/349-ended-otherwise.t
s/&& ngx_http_exam_part_terminate(&e->writer, e->state) != 0)/\&\& ngx_http_exam_part_close(\&e->writer) != 0)/
