# the owner of an upload does not let it go
# file: ngx_exam_module/ngx_http_exam_upload_part.c
# test: t/385-takeover.t
# proves: W2 R12
s/^    if (ask->since <= u->since .*/    if (1/
