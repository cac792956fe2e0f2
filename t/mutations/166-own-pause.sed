# a watch that stood still declares others late
# file: backend-worker/worker_watch.c
# test: t/worker/130-watch.t
s/^            worker_watch_doubt(t);/            (void) t;/
