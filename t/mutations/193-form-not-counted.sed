# a form is not counted as one of its kind
# file: ngx_exam_module/ngx_http_exam_open.c
# test: t/345-form.t
/^ngx_http_exam_zone_upload_kind/,/^}/s/>= limit/>= 100/
