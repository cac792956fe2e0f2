# on a full disk the part keeps bytes behind the offset that is told
# file: ngx_exam_module/ngx_http_exam_part.c
# test: unit/part
s/if (i > 0 && w->offset == w->info_offset) {/if (i > 0) {/
