# bytes of a wrong checksum stay
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/351-tus-uploads.t
# proves: T41
s/ngx_http_exam_upload_rollback(u);/ngx_http_exam_upload_tell(u);/
