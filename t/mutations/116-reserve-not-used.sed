# the reserve of the journal is not given up
# file: ngx_exam_module/ngx_http_exam_journal_file.c
# test: t/415-journal-disk.t
/^ngx_http_exam_journal_file_write/,/^}/s/|| f->released)/|| !f->released)/
