# an offset is told before its bytes are synced
# file: ngx_exam_module/ngx_http_exam_part.c
# test: unit/part
# proves: R10
/^ngx_http_exam_part_tell/,/^}/s/if (ngx_http_exam_writer_sync(w) != 0/if (0/
