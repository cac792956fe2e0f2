# any number of uploads is received at a time
# file: ngx_exam_module/ngx_http_exam_admit.c
# test: t/327-admission.t
s/>= mcf->upload_max_active)/> 2 * mcf->upload_max_active)/
