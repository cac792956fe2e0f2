# records that nobody waits for are gone with a failed sync
# file: ngx_exam_module/ngx_http_exam_journal.c
# test: t/415-journal-disk.t
/^ngx_http_exam_journal_drop/,/^}/s/^    b->len = to;/    b->len = 0 * to;/
