# a mark whose file has lost its name is not seen
# file: ngx_exam_module/ngx_http_exam_part_find.c
# test: unit/part_names
/^ngx_http_exam_part_take/,/^}/s/rc = ngx_http_exam_part_marked(w, NGX_HTTP_EXAM_PART_MARKS);/rc = 0;/
