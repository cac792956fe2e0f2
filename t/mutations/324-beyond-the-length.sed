# bytes beyond the length are taken
# file: ngx_exam_module/ngx_http_exam_resume.c
# test: t/351-tus-uploads.t
# proves: T13
s/u->limit = (m->length >= 0 ? m->length : u->mcf->max_bytes)/u->limit = u->mcf->max_bytes/
