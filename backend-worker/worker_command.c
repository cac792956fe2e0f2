
/*
 * Commands that their sender could not announce (Redis was away, or the sender
 * died) or that Redis may have forgotten since, and deliveries whose command
 * has expired.  Each worker does this for
 * all exams: what two of them do at the same time, one of them finds done.
 */


#include "worker.h"

#include "exam_command.h"


void
worker_command_doubt(worker_t *w, int64_t since)
{
    if (w->announced == 0 || since < w->announced) {
        w->announced = since;
    }
}


void
worker_command_announce(worker_t *w)
{
    unsigned     n;
    exam_live_e  rc;

    n = 0;
    rc = EXAM_LIVE_OK;

    if (w->announced != 0
        && exam_command_forget(&w->mysql, w->announced) != EXAM_DB_OK)
    {
        rc = EXAM_LIVE_DB;
    }

    if (rc == EXAM_LIVE_OK) {
        w->announced = 0;
        rc = exam_command_announce_all(&w->mysql, &w->redis, &n);
    }

    if (n != 0) {
        exam_log(EXAM_LOG_NOTICE, "command", 0, "announced %u commands", n);
    }

    if (rc == EXAM_LIVE_DB) {
        exam_log(EXAM_LOG_WARN, "command", 0, "cannot announce commands: %s",
                 w->mysql.error);
        worker_live_mysql(w);

    } else if (rc == EXAM_LIVE_REDIS) {
        exam_log(EXAM_LOG_WARN, "command", 0, "cannot announce commands: %s",
                 w->redis.error);
    }
}


/*
 * Redis is not needed for this.  At the start all commands are looked at, later
 * those that have expired since, and a little before: a command that expires
 * early may be committed late.
 */

void
worker_command_expire(worker_t *w)
{
    int64_t    now;
    uint64_t   n;
    exam_db_e  rc;

    now = exam_mono_ms();

    if (now < w->expire_at) {
        return;
    }

    w->expire_at = now + WORKER_EXPIRE;

    if (!worker_db_up(w)) {
        return;
    }

    now = exam_now_ms();

    rc = exam_command_expire(&w->mysql, w->expired - WORKER_EXPIRE_AGAIN, now,
                             &n);

    if (n != 0) {
        exam_log(EXAM_LOG_INFO, "command", 0, "%llu deliveries expired",
                 (unsigned long long) n);
    }

    if (rc == EXAM_DB_OK) {
        w->expired = now;
        return;
    }

    exam_log(EXAM_LOG_WARN, "command", 0, "cannot expire deliveries: %s",
             w->mysql.error);
    worker_live_mysql(w);
}
