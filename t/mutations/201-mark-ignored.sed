# uploads are taken below the disk's mark
# file: ngx_exam_module/ngx_http_exam_disk.c
# test: t/325-disk.t
s/if (ngx_http_exam_disk.low || ngx_http_exam_journal_full())/if (ngx_http_exam_journal_full())/
