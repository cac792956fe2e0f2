# any version of tus is taken
# file: ngx_exam_module/ngx_http_exam_uploads.c
# test: t/350-tus-fields.t
# proves: T02
s/exam_str_eq(up->f.resumable, exam_str(NGX_HTTP_EXAM_TUS_VERSION))/(up->f.resumable.data != NULL)/
