# tombstones are never removed
# file: ngx_exam_module/ngx_http_exam_recovery.c
# test: t/387-expire.t
# proves: T30
s/return touched != 0 \&\& time(NULL) - touched >= age;/return touched == 1 \&\& age == 1;/
