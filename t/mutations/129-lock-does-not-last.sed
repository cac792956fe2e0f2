# a lock is a command and no state
# file: service/exam_command_body.c
# test: t/examctl/055-command.t
/^exam_command_effect/,/^}/s/SET locked = %d"/SET locked = locked + 0 * %d"/
