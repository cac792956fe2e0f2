
/*
 * What comes when: on each round the periodic duties that are due, then a
 * batch from the spool (when a scan is under way) and from the doorbell.
 */


#include "worker.h"

#include <errno.h>
#include <time.h>


#define WORKER_SLICE  50            /* ms a pause is divided into */


static size_t worker_gather(worker_t *w);
static void worker_tick(worker_t *w);


bool
worker_pause(worker_t *w, int64_t ms)
{
    int64_t          end, left;
    struct timespec  ts;

    (void) w;

    end = exam_mono_ms() + ms;

    for ( ;; ) {

        if (worker_quit != 0) {
            return false;
        }

        left = end - exam_mono_ms();

        if (left <= 0) {
            return true;
        }

        ts.tv_sec = 0;
        ts.tv_nsec = (left < WORKER_SLICE ? left : WORKER_SLICE) * 1000000;

        (void) nanosleep(&ts, NULL);
    }
}


int
worker_loop(worker_t *w)
{
    worker_ledger_start(w);
    worker_scan_begin(w);

    while (worker_quit == 0) {

        worker_tick(w);

        if (worker_gather(w) != 0) {
            worker_batch_run(w);
            continue;
        }

        if (w->once && w->scan.phase == WORKER_SCAN_NONE) {
            break;
        }
    }

    if (w->once && worker_quit == 0) {
        worker_tick(w);
        worker_journal_once(w);
    }

    worker_scan_close(w);

    exam_log(EXAM_LOG_NOTICE, "worker", 0, "leaves");

    return 0;
}


static void
worker_tick(worker_t *w)
{
    if (worker_reopen != 0) {
        worker_reopen = 0;

        if (exam_log_reopen() == -1) {
            exam_log(EXAM_LOG_ERROR, "worker", errno, "cannot reopen the log");
        }
    }

    exam_log_tick();

    worker_live_tick(w);
    worker_command_expire(w);
    worker_recheck(w);
    worker_ledger_again(w);

    if (exam_mono_ms() >= w->scan.due) {
        worker_scan_begin(w);
    }
}


static size_t
worker_gather(worker_t *w)
{
    int64_t       now;
    exam_redis_e  rc;

    worker_batch_reset(&w->batch);

    if (w->scan.phase != WORKER_SCAN_NONE && !worker_scan_fill(w)) {
        w->scan.due = exam_mono_ms() + WORKER_SCAN_IDLE;
    }

    rc = worker_stream_fill(w, w->once ? 0 : WORKER_BLOCK);

    if (rc != EXAM_REDIS_OK) {
        now = exam_mono_ms();

        /* nobody rings: look more often */

        if (w->scan.due > now + WORKER_SCAN_AWAY) {
            w->scan.due = now + WORKER_SCAN_AWAY;
        }

        if (w->batch.n == 0 && !w->once) {
            (void) worker_pause(w, WORKER_BLOCK);
        }
    }

    /* an entry that names no upload is only acknowledged */

    return w->batch.n + w->batch.nacks;
}
