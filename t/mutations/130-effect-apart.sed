# a command is committed before its effect
# file: service/exam_command_body.c
# test: t/examctl/055-command.t
/^exam_command_body/,/^}/s/rc = exam_command_effect(c, db);/rc = exam_mysql_commit(db) == EXAM_DB_OK ? exam_command_effect(c, db) : EXAM_DB_LOST;/
