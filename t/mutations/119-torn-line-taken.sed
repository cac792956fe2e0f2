# a line without its end is taken for whole
# file: backend-worker/worker_journal_read.c
# test: t/worker/110-journal-lines.t
/^worker_journal_lines/,/^}/s/^        newline = memchr(.*;/&\
\
        if (newline == NULL) {\
            newline = end;\
        }/
