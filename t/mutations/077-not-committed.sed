# an upload is let go though its row was not committed
# file: backend-worker/worker_db.c
# test: t/worker/015-order.t
/^worker_db_rows/,/^}/s/return exam_mysql_commit(&w->mysql);/exam_mysql_rollback(\&w->mysql);\
\
    return EXAM_DB_OK;/
