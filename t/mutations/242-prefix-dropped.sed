# what has arrived is dropped when its client goes
# file: ngx_exam_module/ngx_http_exam_upload.c
# test: t/380-resume.t
# proves: T14 R13
s/^    keep = u->resumable \&\& u->state/    keep = 0 \&\& u->state/
