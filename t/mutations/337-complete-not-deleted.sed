# the URL of a complete upload stays
# file: ngx_exam_module/ngx_http_exam_resume_found.c
# test: t/351-tus-uploads.t
# proves: T50
s/if (re->method == NGX_HTTP_DELETE) {/if (0) {/
