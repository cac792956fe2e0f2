# HEAD does not give the metadata back
# file: ngx_exam_module/ngx_http_exam_tus.c
# test: t/351-tus-uploads.t
# proves: T09
s/if (m->metadata.len > 0) {/if (m->metadata.len > 4096) {/
