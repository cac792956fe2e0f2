# bytes of an earlier boot count without a sync
# file: ngx_exam_module/ngx_http_exam_part_find.c
# test: unit/part
# proves: R10
s/w->info_boot = exam_str_eq(w->manifest.boot_id, w->boot);/w->info_boot = 1;/
