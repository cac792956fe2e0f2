
/*
 * What bench/worker.sh needs beside the servers and the worker:
 *
 *   sync DIR FILES THREADS       fdatasync a second of 1-KB files
 *   insert INI ROWS              the batched INSERT alone, by the worker's code
 *   fill INI COUNT STUDENTS FILE finished uploads, not yet announced
 *   ring INI                     announces them, waits until all are done
 *
 * Prints one number: a rate, or for `ring` the seconds it took.
 */


#include "worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#define BENCH_FILE       1024
#define BENCH_THREADS    64
#define BENCH_RING       256            /* doorbells a pipeline */
#define BENCH_PATIENCE   300000         /* ms until `ring` gives up */


typedef struct {
    const char  *dir;
    unsigned     first;
    unsigned     n;
    int          failed;
} bench_sync_t;


/* what the worker's objects expect of main.c */

atomic_int  worker_quit;
atomic_int  worker_reopen;

static worker_t        bench_worker;


static int bench_sync(const char *dir, unsigned files, unsigned threads);
static void *bench_sync_thread(void *data);
static int bench_insert(worker_t *w, unsigned rows);
static void bench_batch(worker_t *w, unsigned first, unsigned n);
static void bench_manifest(worker_t *w, worker_item_t *item, unsigned i,
    unsigned students);
static int bench_fill(worker_t *w, unsigned count, unsigned students,
    const char *file);
static int bench_put(const char *path, const void *data, size_t len);
static int bench_ring(worker_t *w);
static bool bench_ring_one(void *data, const char *id);
static int bench_wait(worker_t *w);
static unsigned bench_number(const char *text);


int
main(int argc, char **argv)
{
    char       error[EXAM_CONF_ERROR_MAX];
    worker_t  *w;

    w = &bench_worker;

    if (argc == 5 && strcmp(argv[1], "sync") == 0) {
        return bench_sync(argv[2], bench_number(argv[3]),
                          bench_number(argv[4]));
    }

    if (argc < 3 || exam_conf_load(&w->conf, argv[2], error) == -1) {
        fprintf(stderr, "worker_bench: %s\n", argc < 3 ? "arguments" : error);
        return 2;
    }

    w->node = exam_str_make(w->conf.node, strlen(w->conf.node));

    exam_mysql_init(&w->mysql, &w->conf.mysql);
    exam_redis_init(&w->redis, &w->conf.redis);
    worker_stream_init(w);

    w->spool = open(w->conf.spool, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    w->store = open(w->conf.recordings, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (argc == 4 && strcmp(argv[1], "insert") == 0) {
        return bench_insert(w, bench_number(argv[3]));
    }

    if (argc == 6 && strcmp(argv[1], "fill") == 0) {
        return bench_fill(w, bench_number(argv[3]), bench_number(argv[4]),
                          argv[5]);
    }

    if (argc == 3 && strcmp(argv[1], "ring") == 0) {
        return bench_ring(w);
    }

    fprintf(stderr, "worker_bench: unknown command\n");

    return 2;
}


static unsigned
bench_number(const char *text)
{
    unsigned long  n;

    n = strtoul(text, NULL, 10);

    return n > 10000000 || n == 0 ? 1 : (unsigned) n;
}


static int
bench_sync(const char *dir, unsigned files, unsigned threads)
{
    int           failed;
    int64_t       start;
    unsigned      i;
    pthread_t     ids[BENCH_THREADS];
    bench_sync_t  parts[BENCH_THREADS];

    if (threads > BENCH_THREADS) {
        threads = BENCH_THREADS;
    }

    start = exam_mono_ms();
    failed = 0;

    for (i = 0; i < threads; i++) {
        parts[i].dir = dir;
        parts[i].first = i * (files / threads);
        parts[i].n = files / threads;
        parts[i].failed = 0;

        if (pthread_create(&ids[i], NULL, bench_sync_thread, &parts[i]) != 0) {
            return 1;
        }
    }

    for (i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        failed |= parts[i].failed;
    }

    printf("%.0f\n", (double) (files / threads * threads) * 1000
                     / (double) (exam_mono_ms() - start + 1));

    return failed;
}


static void *
bench_sync_thread(void *data)
{
    int            fd;
    char           path[EXAM_PATH_MAX];
    unsigned       i;
    bench_sync_t  *part;

    static const char  bytes[BENCH_FILE];

    part = data;

    for (i = part->first; i < part->first + part->n; i++) {
        snprintf(path, sizeof(path), "%s/sync.%u", part->dir, i);

        fd = open(path, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600);

        if (fd == -1 || exam_file_write(fd, bytes, sizeof(bytes)) == -1
            || fdatasync(fd) == -1)
        {
            part->failed = 1;
        }

        if (fd != -1) {
            close(fd);
        }

        (void) unlink(path);
    }

    return NULL;
}


static void
bench_manifest(worker_t *w, worker_item_t *item, unsigned i, unsigned students)
{
    int               n;
    uint8_t           random[16];
    exam_buf_t        b;
    exam_manifest_t  *m;

    exam_random(random, sizeof(random));

    exam_buf_init(&b, item->id, sizeof(item->id));
    exam_buf_put(&b, w->conf.node, w->node.len);
    exam_buf_char(&b, '-');
    exam_buf_hex(&b, random, sizeof(random));
    (void) exam_buf_cstr(&b);

    m = &item->m;
    memset(m, 0, sizeof(exam_manifest_t));

    n = snprintf((char *) item->arena, sizeof(item->arena), "S%05u",
                 i % students);

    m->id = exam_str_make(item->id, strlen(item->id));
    m->exam = exam_str("bench");
    m->student = exam_str_make(item->arena, (size_t) n);
    m->kind = exam_str("screen");
    m->n = i / students;
    m->gen = 1;
    m->final = true;
    m->started_at = -1;
    m->duration_ms = -1;
    m->received_at = exam_now_ms();
    m->content_type = exam_str("video/webm");
    m->node = w->node;
    m->boot_id = exam_str_make(w->boot_id, strlen(w->boot_id));

    memset(random, 1, sizeof(random));
    exam_sid_make(m->sid, m->exam, m->student, random);
}


static void
bench_batch(worker_t *w, unsigned first, unsigned n)
{
    unsigned        i;
    worker_item_t  *item;

    worker_batch_reset(&w->batch);

    for (i = 0; i < n; i++) {
        item = &w->batch.items[w->batch.n++];

        memset(item, 0, sizeof(worker_item_t));
        exam_media_none(&item->media);
        bench_manifest(w, item, first + i, 10000);

        item->m.length = BENCH_FILE;
        item->m.durable_offset = BENCH_FILE;
        item->stored_at = exam_now_ms();
        item->state = WORKER_FILED;

        (void) worker_claim_names(item);
    }
}


static int
bench_insert(worker_t *w, unsigned rows)
{
    int64_t   start, spent;
    unsigned  i;

    if (exam_mysql_library() == -1
        || exam_mysql_connect(&w->mysql, true) != EXAM_DB_OK)
    {
        fprintf(stderr, "worker_bench: %s\n", w->mysql.error);
        return 1;
    }

    spent = 0;
    rows -= rows % WORKER_BATCH;

    for (i = 0; i < rows; i += WORKER_BATCH) {
        bench_batch(w, i, WORKER_BATCH);

        start = exam_mono_ms();

        if (worker_db_rows(w, &w->batch) != EXAM_DB_OK) {
            fprintf(stderr, "worker_bench: %s\n", w->mysql.error);
            return 1;
        }

        spent += exam_mono_ms() - start;
    }

    printf("%.0f\n", (double) rows * 1000 / (double) (spent + 1));

    worker_db_close(w);

    return 0;
}


/* the manifests wait as .new, so that `ring` is a rename and an XADD each */

static int
bench_fill(worker_t *w, unsigned count, unsigned students, const char *file)
{
    int             fd;
    char            path[EXAM_PATH_MAX + 128], *data;
    size_t          len;
    uint8_t         text[EXAM_MANIFEST_MAX];
    unsigned        i;
    exam_buf_t      b;
    worker_item_t  *item;
    exam_sha256_t   hash;

    item = &w->batch.items[0];

    if (exam_file_read(file, 1 << 24, &data, &len) == -1) {
        perror(file);
        return 1;
    }

    fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY|O_CLOEXEC);

    if (fd == -1 || read(fd, w->boot_id, EXAM_BOOT_MAX) != EXAM_BOOT_MAX) {
        perror("boot_id");
        return 1;
    }

    close(fd);

    for (i = 0; i < count; i++) {
        bench_manifest(w, item, i, students);

        item->m.length = (int64_t) len;
        item->m.durable_offset = (int64_t) len;

        exam_sha256_init(&hash);
        exam_sha256_update(&hash, data, len);
        exam_sha256_final(&hash, item->m.sha256);

        exam_buf_init(&b, text, sizeof(text));
        exam_manifest_format(&b, &item->m);

        snprintf(path, sizeof(path), "%s/ready/%s.rec", w->conf.spool,
                 item->id);

        if (bench_put(path, data, len) == -1) {
            return 1;
        }

        snprintf(path, sizeof(path), "%s/new/%s.info", w->conf.spool,
                 item->id);

        if (bench_put(path, text, exam_buf_len(&b)) == -1) {
            return 1;
        }
    }

    free(data);
    sync();

    return 0;
}


static int
bench_put(const char *path, const void *data, size_t len)
{
    int  fd, rc;

    fd = open(path, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0640);

    if (fd == -1) {
        perror(path);
        return -1;
    }

    rc = exam_file_write(fd, data, len);
    close(fd);

    return rc;
}


static int
bench_ring(worker_t *w)
{
    int      rc;
    int64_t  start;

    start = exam_mono_ms();

    if (worker_scan_each(w, "new", bench_ring_one, w) == -1
        || (w->redis.pending != 0
            && exam_redis_replies(&w->redis, NULL, NULL) != EXAM_REDIS_OK))
    {
        fprintf(stderr, "worker_bench: %s\n", w->redis.error);
        return 1;
    }

    rc = bench_wait(w);

    if (rc == 0) {
        printf("%.3f\n", (double) (exam_mono_ms() - start) / 1000);
    }

    return rc;
}


static bool
bench_ring_one(void *data, const char *id)
{
    char         from[EXAM_SPOOL_NAME_MAX], to[EXAM_SPOOL_NAME_MAX];
    worker_t    *w;
    exam_str_t   args[5];

    w = data;

    snprintf(from, sizeof(from), "new/%s.info", id);
    snprintf(to, sizeof(to), "ready/%s.info", id);

    if (renameat(w->spool, from, w->spool, to) == -1) {
        perror(from);
        return false;
    }

    args[0] = exam_str("XADD");
    args[1] = exam_str_make(w->stream.key, strlen(w->stream.key));
    args[2] = exam_str("*");
    args[3] = exam_str("id");
    args[4] = exam_str_make(id, strlen(id));

    if (exam_redis_append(&w->redis, 5, args) != EXAM_REDIS_OK) {
        return false;
    }

    return w->redis.pending < BENCH_RING
           || exam_redis_replies(&w->redis, NULL, NULL) == EXAM_REDIS_OK;
}


static int
bench_wait(worker_t *w)
{
    int64_t       end;
    long long     left;
    redisReply   *reply;

    end = exam_mono_ms() + BENCH_PATIENCE;

    do {
        usleep(2000);

        if (exam_redis_command(&w->redis, &reply, "XLEN %s", w->stream.key)
            != EXAM_REDIS_OK)
        {
            fprintf(stderr, "worker_bench: %s\n", w->redis.error);
            return 1;
        }

        left = reply->integer;
        freeReplyObject(reply);

    } while (left != 0 && exam_mono_ms() < end);

    if (left != 0) {
        fprintf(stderr, "worker_bench: %lld uploads are left\n", left);
        return 1;
    }

    return 0;
}
