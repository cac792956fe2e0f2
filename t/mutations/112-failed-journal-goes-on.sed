# a journal whose sync has failed is written on
# file: ngx_exam_module/ngx_http_exam_journal_file.c
# test: t/415-journal-disk.t
/^ngx_http_exam_journal_file_put/,/^}/s/^\( *\)ngx_http_exam_journal_file_close(f);/\1;/
