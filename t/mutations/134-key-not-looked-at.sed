# a key that was used sends a second command
# file: service/exam_command_body.c
# test: t/examctl/055-command.t
s/AND idempotency_key = ?"/AND idempotency_key = CONCAT(?, '-')"/
