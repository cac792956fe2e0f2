# an expired upload goes on
# file: ngx_exam_module/ngx_http_exam_part_find.c
# test: t/352-tus-files.t
# proves: T30
s/return w->expire != 0 \&\& time(NULL) - last > w->expire;/return last == 0;/
