# a manifest counts as synced with its name when it is not
# file: ngx_exam_module/ngx_http_exam_part_find.c
# test: unit/part
# proves: R10
s/^    w->synced = (info.st_mode .*/    w->synced = 1;/
