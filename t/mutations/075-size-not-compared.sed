# a short file is stored
# file: backend-worker/worker_verify.c
# test: t/worker/020-damaged.t
s/if (st.st_size != item->m.length) {/if (0) {/
