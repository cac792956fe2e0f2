# a node says that all is flushed while rows are left
# file: ngx_exam_module/ngx_http_exam_node.c
# test: t/440-presence.t
/^ngx_http_exam_mark_tick_locked/,/^}/s/if (sh->ndirty + sh->inflight == 0) {/if (sh->ndirty + sh->inflight < UINT32_MAX) {/
