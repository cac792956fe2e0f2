# the name of a manifest that is told is not synced
# file: ngx_exam_module/ngx_http_exam_part.c
# test: unit/part
# proves: R10
s/^    rc = fsync(fd);/    rc = 0;/
