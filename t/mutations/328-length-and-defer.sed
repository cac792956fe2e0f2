# a creation may have a length and none
# file: ngx_exam_module/ngx_http_exam_tus.c
# test: t/350-tus-fields.t
# proves: T20
s/if ((up->f.length.data != NULL) == (up->f.defer.data != NULL)) {/if (up->f.length.data == NULL \&\& up->f.defer.data == NULL) {/
