# two uploads of one number are begun
# file: ngx_exam_module/ngx_http_exam_open.c
# test: t/348-receiving.t
/^ngx_http_exam_held_by_number/,/^}/s/like->kind == EXAM_KIND_FILE/like->kind != 255/
