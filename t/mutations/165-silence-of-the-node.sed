# what a node could not tell is the candidate's silence
# file: backend-worker/worker_watch_node.c
# test: t/worker/130-watch.t
/^worker_node_told/,/^}/s/return n->flushed_at < n->now ? n->flushed_at : n->now;/return n->now;/
