# what resumable uploads are to hold is not counted towards a quota
# file: ngx_exam_module/ngx_http_exam_intake_ask.c
# test: t/347-quota.t
s/left -= ngx_max(open - ngx_max(in->length, 0), 0);/left -= 0;/
