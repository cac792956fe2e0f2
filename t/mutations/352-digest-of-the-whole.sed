# a wrong digest of the whole is taken
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/361-digests.t
# proves: D02
s/if (m->expected \&\& ngx_memcmp(/if (0 \&\& ngx_memcmp(/
