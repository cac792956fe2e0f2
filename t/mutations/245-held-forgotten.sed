# open uploads are not known again after a start
# file: ngx_exam_module/ngx_http_exam_spool.c
# test: t/380-resume.t
# proves: C05
s/^    ngx_http_exam_zone_upload_put(/    if (0) ngx_http_exam_zone_upload_put(/
