# what a killed process had to journal is forgotten
# file: ngx_exam_module/ngx_http_exam_command_beat.c
# test: t/425-commands-killed.t
/^ngx_http_exam_beat_records_locked/,/^}/s/record->report = report;/& ngx_http_exam_bit_clear(\&d->journal[report], c->bit);/
