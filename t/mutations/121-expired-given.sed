# an expired command is given
# file: ngx_exam_module/ngx_http_exam_command.c
# test: t/420-commands.t
/^ngx_http_exam_command_over/,/^}/s/c->expires_at <= now ||//
/^ngx_http_exam_commands_remove_locked/,/^}/s/if (c->expires_at <= now) {/if (0) {/
