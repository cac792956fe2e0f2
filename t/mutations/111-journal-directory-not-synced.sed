# the directory of a new journal is not synced
# file: ngx_exam_module/ngx_http_exam_journal_file.c
# test: t/415-journal-disk.t
/^ngx_http_exam_journal_file_open/,/^}/s/if (fsync(f->dir) != 0) {/if (0) {/
