# a body in chunks that runs over the length leaves its upload of the draft
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/360-ietf.t
# proves: R09
s/if (u->overrun$/if (0/
