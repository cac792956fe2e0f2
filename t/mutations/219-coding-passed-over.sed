# a PUT that is compressed is taken for a recording
# file: ngx_exam_module/ngx_http_exam_intake.c
# test: t/311-put-fields.t
s/if (h\[i\].key.len != coding.len/if (1/
