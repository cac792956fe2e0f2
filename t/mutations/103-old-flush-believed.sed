# the watch believes what nodes wrote before Redis was emptied
# file: backend-worker/worker_watch_node.c
# test: t/worker/130-watch.t
/^worker_node_ready/,/^}/s/return n->flushed_at >= since;/return since != 0;/
