# an extension is told that there is not
# file: ngx_exam_module/ngx_http_exam_uploads.c
# test: t/350-tus-fields.t
# proves: T04 T60
s/expiration,checksum,termination/expiration,checksum,termination,concatenation/
