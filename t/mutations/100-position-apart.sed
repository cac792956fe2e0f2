# rows of the journal are committed without their position
# file: backend-worker/worker_journal_rows.c
# test: t/worker/120-journal-crash.t
/^worker_rows_body/,/^}/s/(void) db;/;/
/^worker_rows_body/,/^}/s/return rc == EXAM_DB_OK ?/if (rc == EXAM_DB_OK) { rc = exam_mysql_commit(db); } return rc == EXAM_DB_OK ?/
