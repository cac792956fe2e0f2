# the size of a part counts although its last sync has failed
# file: ngx_exam_module/ngx_http_exam_part_find.c
# test: unit/part_names
s/ \&\& !unsure) {/) {/
