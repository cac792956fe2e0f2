# failed rows of a flush count as flushed
# file: ngx_exam_module/ngx_http_exam_node.c
# test: t/440-presence.t
/^ngx_http_exam_mark_done_locked/,/^}/s/if (failed) {/if (failed > rows) {/
