# an upload of another candidate is shown
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/351-tus-uploads.t
# proves: T08
/^ngx_http_exam_resume_own/,/^}/s/exam_str_eq(u->writer.manifest.student, ctx->claims.student)/1/
