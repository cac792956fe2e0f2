# a session of another student is written to
# file: ngx_exam_module/ngx_http_exam_recordings.c
# test: t/433-leftovers.t
/^ngx_http_exam_recordings_session/,/^}/s/if (exam_sid_hash(seg->sid) != exam_id_hash(seg->exam, seg->student)) {/if (0) {/
/^ngx_http_exam_recordings_local/,/^}/s/!exam_str_eq(\([a-z]*\), seg->[a-z]*)/!exam_str_eq(\1, \1)/g
