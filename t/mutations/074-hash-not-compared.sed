# a damaged file is stored
# file: backend-worker/worker_verify.c
# test: t/worker/020-damaged.t
s/if (memcmp(item->found_sha256, item->m.sha256, EXAM_HASH_LEN) != 0) {/if (0) {/
