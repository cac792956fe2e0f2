# the doorbell is acknowledged before COMMIT
# file: backend-worker/worker_batch.c
# test: t/worker/015-order.t
s/^    if (worker_db_batch(w, b)) {/    for (size_t k = 0; k < b->nacks; k++) {\
        b->acks[k].item = WORKER_BATCH;\
    }\
\
    (void) worker_stream_ack(w);\
\
    if (worker_db_batch(w, b)) {/
