# an upload expires by its manifest alone
# file: ngx_exam_module/ngx_http_exam_part_find.c
# test: unit/part_names
# proves: T30
s/last = (st->st_mtime > w->info_time) ? st->st_mtime : w->info_time;/last = w->info_time + 0 * st->st_mtime;/
