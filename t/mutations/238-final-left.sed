# a finish sequence that a crash has stopped is left so
# file: ngx_exam_module/ngx_http_exam_part_find.c
# test: unit/part_names
# proves: C03
s/^    if (w->manifest.final) {/    if (0) {/
