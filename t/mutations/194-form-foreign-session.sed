# a form for the running session is taken from an ended one
# file: ngx_exam_module/ngx_http_exam_form.c
# test: t/345-form.t
/^ngx_http_exam_form_session/,/^}/s/seg->own = 0;/seg->own = 1;/
