# half a batch is committed
# file: backend-worker/worker_db.c
# test: t/worker/050-away.t
/^worker_db_rows/,/^}/s/exam_mysql_rollback(&w->mysql);/(void) !exam_mysql_commit(\&w->mysql);/
