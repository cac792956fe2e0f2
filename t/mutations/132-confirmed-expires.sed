# a delivery that was confirmed expires
# file: service/exam_command_announce.c
# test: t/worker/085-command.t
/^exam_command_expire/,/^}/s/"AND state IN ('queued', 'sent')"/"AND state <> 'expired'"/
