# a file that a power loss has named too early is left in ready/
# file: ngx_exam_module/ngx_http_exam_part_find.c
# test: unit/part_names
/^ngx_http_exam_part_left/,/^}/s/if (rc == 1 \&\& ngx_http_exam_writer_rename/if (0 \&\& ngx_http_exam_writer_rename/
