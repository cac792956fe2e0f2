# a failed sync of the journal is acknowledged
# file: ngx_exam_module/ngx_http_exam_journal.c
# test: t/415-journal-disk.t
/^ngx_http_exam_journal_failed/,/^}/s/? NGX_ABORT : NGX_ERROR;/? NGX_OK : NGX_OK;/
