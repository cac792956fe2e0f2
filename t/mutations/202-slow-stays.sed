# a client below the least rate keeps its place
# file: ngx_exam_module/ngx_http_exam_admit.c
# test: t/327-admission.t
s/return bytes \* 1000 < (uint64_t) u->mcf->upload_min_rate \* ms;/return 0;/
