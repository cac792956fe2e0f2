# a double is thrown away though the first file is gone
# file: backend-worker/worker_insert.c
# test: t/worker/030-doubles.t
/^worker_insert_same/,/^}/s/worker_insert_kept(w, s))/(worker_insert_kept(w, s) || 1))/
