# the company of an upload is hashed and does not move on
# file: ngx_exam_module/ngx_http_exam_hasher.c
# test: unit/hasher
s/^        other->at += n;$//
