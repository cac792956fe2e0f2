# a full disk makes the offset of what is not handed over that of the whole
# file: ngx_exam_module/ngx_http_exam_part.c
# test: unit/part
s/if (!ngx_http_exam_part_whole(w)) {/if (1) {/
