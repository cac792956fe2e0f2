# who lets go leaves an append whose checksum was wrong
# file: ngx_exam_module/ngx_http_exam_part.c
# test: unit/part
# proves: T41
s/return !w->lost \&\& !w->atomic \&\& !w->torn;/return !w->lost \&\& !w->torn;/
