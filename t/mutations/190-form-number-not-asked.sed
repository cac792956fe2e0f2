# the number of a form is not asked for when it is known
# file: ngx_exam_module/ngx_http_exam_form.c
# test: t/345-form.t
s/form->in.late = 1;/form->in.late = 0;/
