
/*
 * A parallel loop for work on files: main hands out n items and waits until
 * all are done.  Between two runs the threads touch nothing of the worker.
 *
 * Why threads at all: a side-car costs one fdatasync, and one thread gets no
 * more of them than the disk's latency allows (about 3,300 a second here);
 * syncs that wait together share a commit of the file system's journal.
 */


#include "worker.h"

#include <stdlib.h>


static void *worker_pool_thread(void *data);


int
worker_pool_start(worker_pool_t *pool, unsigned threads)
{
    unsigned  i;

    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->end, NULL);

    for (i = 0; i < threads; i++) {
        pool->buffers[i] = malloc(WORKER_BUFFER);

        if (pool->buffers[i] == NULL) {
            return -1;
        }
    }

    for (i = 0; i < threads; i++) {

        if (pthread_create(&pool->threads[i], NULL, worker_pool_thread, pool)
            != 0)
        {
            return -1;
        }

        pool->nthreads++;
    }

    return 0;
}


void
worker_pool_run(worker_pool_t *pool, worker_task_pt task, void *data, size_t n)
{
    pthread_mutex_lock(&pool->mutex);

    pool->task = task;
    pool->data = data;
    pool->n = n;
    pool->next = 0;

    pthread_cond_broadcast(&pool->start);

    while (pool->next < pool->n || pool->busy != 0) {
        pthread_cond_wait(&pool->end, &pool->mutex);
    }

    pool->n = 0;

    pthread_mutex_unlock(&pool->mutex);
}


static void *
worker_pool_thread(void *data)
{
    size_t          i;
    void           *arg;
    uint8_t        *buffer;
    worker_pool_t  *pool;
    worker_task_pt  task;

    pool = data;

    pthread_mutex_lock(&pool->mutex);

    buffer = pool->buffers[pool->next_buffer++];

    for ( ;; ) {

        while (!pool->stop && pool->next >= pool->n) {
            pthread_cond_wait(&pool->start, &pool->mutex);
        }

        if (pool->stop) {
            break;
        }

        i = pool->next++;
        task = pool->task;
        arg = pool->data;
        pool->busy++;

        pthread_mutex_unlock(&pool->mutex);

        task(arg, i, buffer);

        pthread_mutex_lock(&pool->mutex);

        pool->busy--;

        if (pool->busy == 0 && pool->next >= pool->n) {
            pthread_cond_signal(&pool->end);
        }
    }

    pthread_mutex_unlock(&pool->mutex);

    return NULL;
}


void
worker_pool_stop(worker_pool_t *pool)
{
    unsigned  i;

    pthread_mutex_lock(&pool->mutex);
    pool->stop = true;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->mutex);

    for (i = 0; i < pool->nthreads; i++) {
        pthread_join(pool->threads[i], NULL);
    }

    for (i = 0; i < EXAM_THREADS_MAX; i++) {
        free(pool->buffers[i]);
        pool->buffers[i] = NULL;
    }
}
