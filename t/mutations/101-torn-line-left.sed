# a line that is still being written is given up
# file: backend-worker/worker_journal_read.c
# test: t/worker/110-journal-lines.t
/^worker_journal_read/,/^}/s/^        if (writing) {/        if (0) {/
