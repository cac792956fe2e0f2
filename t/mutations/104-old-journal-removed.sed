# an old journal is removed before MySQL has it
# file: backend-worker/worker_journal_files.c
# test: t/worker/110-journal-lines.t
/^worker_journal_retire/,/^}/s/f->mtime >= before || f->position < f->size/f->mtime >= before/
