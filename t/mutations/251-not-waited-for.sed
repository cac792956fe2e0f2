# who repeats a creation does not wait for the one that is being made
# file: ngx_exam_module/ngx_http_exam_resume_create.c
# test: t/385-takeover.t
# proves: W6
/^ngx_http_exam_resume_there/,/^}/s/rival->coming = coming;/rival->coming = 0 \&\& coming;/
