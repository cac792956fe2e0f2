# the worker forgets an upload before COMMIT
# file: backend-worker/worker_batch.c
# test: t/worker/015-order.t
s/^    if (worker_db_batch(w, b)) {/    for (size_t k = 0; k < b->n; k++) {\
        (void) worker_claim_release(w, \&b->items[k]);\
    }\
\
    if (worker_db_batch(w, b)) {/
