# told bytes that are missing are not noticed
# file: ngx_exam_module/ngx_http_exam_part_find.c
# test: unit/part_names
# proves: R10
s/^    if (st->st_size < size) {/    if (0) {/
