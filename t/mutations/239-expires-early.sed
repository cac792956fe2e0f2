# an upload expires by its manifest alone
# file: ngx_exam_module/ngx_http_exam_part_find.c
# test: unit/part
# proves: T30
s/last = (st->st_mtime > info.st_mtime) ? st->st_mtime : info.st_mtime;/last = info.st_mtime + 0 * st->st_mtime;/
