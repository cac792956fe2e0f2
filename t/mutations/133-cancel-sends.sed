# a cancelled command is announced as a new one
# file: service/exam_command_announce.c
# test: t/examctl/055-command.t
/^exam_announce_entries/,/^}/s/rc = a->canceled$/rc = false/
