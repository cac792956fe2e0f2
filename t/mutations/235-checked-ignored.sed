# a killed append with a checksum counts in part
# file: ngx_exam_module/ngx_http_exam_part_find.c
# test: unit/part
# proves: T41 D02
s/if (w->info_boot \&\& !w->info_checked \&\& !unsure) {/if (w->info_boot \&\& !unsure) {/
