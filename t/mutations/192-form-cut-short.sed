# a form that is cut short is taken
# file: ngx_exam_module/ngx_http_exam_form.c
# test: t/345-form.t
/^ngx_http_exam_form_whole/,/^}/s/err = exam_form_finished(&form->form);/err = EXAM_OK;/
