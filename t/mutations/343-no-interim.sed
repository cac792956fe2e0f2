# no 104 before the body
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/360-ietf.t
# proves: R03
s/ngx_http_exam_rufh_interim(u->r, u, -1);/(void) u;/
