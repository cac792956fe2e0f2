# a command is given to other students, too
# file: ngx_exam_module/ngx_http_exam_command_beat.c
# test: t/420-commands.t
/^ngx_http_exam_beat_give_locked/,/^}/s/due = e->all;/due = e->used;/
