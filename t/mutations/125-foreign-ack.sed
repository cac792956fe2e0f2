# a student acknowledges the command of another
# file: ngx_exam_module/ngx_http_exam_command_beat.c
# test: t/420-commands.t
/^ngx_http_exam_beat_acks_locked/,/^}/s/|| !(ngx_http_exam_bit(&e->all, c->bit)/|| !(1/
