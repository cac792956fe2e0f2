# Upload-Expires is not told
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/351-tus-uploads.t
# proves: T30
/^ngx_http_exam_resume_expires/,/^}/s/if (re->complete || re->elsewhere /if (!re->complete /
