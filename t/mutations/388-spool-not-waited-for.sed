# a cold node takes numbers anew that lie in its spool
# file: ngx_exam_module/ngx_http_exam_intake.c
# test: t/388-cold.t
s/return !ngx_http_exam_zone_warm(u->mcf->zone)/return u->mcf->zone == NULL/
