# a refill forgets who has run a command
# file: service/exam_command_announce.c
# test: t/service/030-refill.t
/^exam_command_refill/,/^}/s/if (lrc == EXAM_LIVE_OK && !a.canceled) {/if (lrc == EXAM_LIVE_NOT_FOUND) {/
