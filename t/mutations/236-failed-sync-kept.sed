# bytes whose sync has failed stay in the part
# file: ngx_exam_module/ngx_http_exam_part.c
# test: unit/part
# proves: R10
s/size = w->lost ? w->info_offset : w->atomic/size = w->atomic/
