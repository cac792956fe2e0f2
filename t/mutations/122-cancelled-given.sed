# a cancelled command is given
# file: ngx_exam_module/ngx_http_exam_command.c
# test: t/420-commands.t
/^ngx_http_exam_command_over/,/^}/s/|| !ngx_http_exam_bit(&e->live, c->bit);/|| 0;/
