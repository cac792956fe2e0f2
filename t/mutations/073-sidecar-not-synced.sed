# the side-car is not synced
# file: backend-worker/worker_store.c
# test: t/worker/015-order.t
/^worker_store_sidecar/,/^}/s/ || fdatasync(fd) == -1)/ || 0)/
/^worker_store_sidecar/,/^}/s/^        || fdatasync(fd) == -1)/        || 0)/
