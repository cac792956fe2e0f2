# lost is answered before the journal is synced
# file: ngx_exam_module/ngx_http_exam_lost.c
# test: t/430-lost.t
/^ngx_http_exam_lost_record/,/^}/s/(&record, ngx_http_exam_lost_synced, l)/(\&record, NULL, NULL)/
/^ngx_http_exam_lost_record/,/^}/s/^        return;/        ngx_http_exam_lost_synced(l, NGX_OK);\
        return;/
