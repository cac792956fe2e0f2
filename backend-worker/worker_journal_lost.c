
/*
 * Segments that clients gave up, told to Redis as `lost` by the script settle.
 * The table lost_segments is the memory: what Redis did not hear, or forgot, is
 * read from there.  Telling it twice changes nothing, and a state above `lost`
 * stays.
 */


#include "worker_journal.h"

#include <string.h>


#define WORKER_LOST_PAGE  256
#define WORKER_LOST_TRY   1000          /* ms between tries */

#define WORKER_LOST_SQL                                                       \
    "SELECT l.session, l.kind, l.n, l.exam, l.student, l.reason "             \
    "FROM lost_segments l JOIN exams e ON e.id = l.exam "                     \
    "WHERE e.state IN ('open', 'closed') "                                    \
    "AND (l.session, l.kind, l.n) > (?, ?, ?) "                               \
    "ORDER BY l.session, l.kind, l.n LIMIT 256"


/* the last row of the page before */

typedef struct {
    char     session[EXAM_SID_HEX + 1];
    char     kind[EXAM_KIND_MAX + 1];
    int64_t  n;
} worker_lost_at_t;


static exam_redis_e worker_lost_append(worker_journal_t *j, exam_str_t exam,
    exam_str_t student, const uint8_t *sid, exam_str_t kind, uint32_t n,
    exam_str_t reason);
static exam_db_e worker_lost_page(worker_journal_t *j, worker_lost_at_t *at,
    size_t *n, exam_redis_e *redis);


void
worker_journal_settle(worker_journal_t *j)
{
    size_t                  i, n;
    exam_redis_e            rc;
    const exam_record_t    *r;

    n = 0;
    rc = EXAM_REDIS_OK;

    for (i = 0; i < j->batch.n && rc == EXAM_REDIS_OK; i++) {
        r = &j->batch.records[i].r;

        if (r->type == EXAM_RECORD_LOST && !j->batch.records[i].refused) {
            rc = worker_lost_append(j, r->exam, r->student, r->sid, r->kind,
                                    r->n, r->reason);
            n++;
        }
    }

    if (n != 0 && rc == EXAM_REDIS_OK) {
        rc = exam_redis_replies(&j->redis, NULL, NULL);
    }

    if (rc != EXAM_REDIS_OK) {
        j->unsettled = true;
    }
}


void
worker_journal_settle_again(worker_journal_t *j)
{
    char              value[EXAM_LOADED_MAX];
    size_t            n;
    exam_db_e         rc;
    exam_redis_e      redis;
    worker_lost_at_t  at;

    if (exam_mono_ms() < j->settle_at) {
        return;
    }

    j->settle_at = exam_mono_ms() + WORKER_LOST_TRY;

    if (exam_live_loaded(&j->redis, value) != EXAM_LIVE_OK
        || value[0] == '\0')
    {
        return;
    }

    /* filled again: from a table that may be older than the last of these */

    if (strcmp(value, j->loaded) != 0) {
        memcpy(j->loaded, value, sizeof(value));
        j->unsettled = true;
    }

    if (!j->unsettled) {
        return;
    }

    memset(&at, 0, sizeof(worker_lost_at_t));

    do {
        rc = worker_lost_page(j, &at, &n, &redis);

        if (rc != EXAM_DB_OK || redis != EXAM_REDIS_OK) {
            return;
        }

    } while (n == WORKER_LOST_PAGE && worker_quit == 0);

    j->unsettled = false;
}


static exam_redis_e
worker_lost_append(worker_journal_t *j, exam_str_t exam, exam_str_t student,
    const uint8_t *sid, exam_str_t kind, uint32_t n, exam_str_t reason)
{
    exam_manifest_t  m;

    memset(&m, 0, sizeof(exam_manifest_t));

    m.exam = exam;
    m.student = student;
    m.kind = kind;
    m.n = n;
    m.length = -1;
    memcpy(m.sid, sid, EXAM_SID_LEN);

    return worker_ledger_append(&j->redis, &m, EXAM_SEG_LOST, exam_str("-"),
                                exam_str("-"), reason);
}


static exam_db_e
worker_lost_page(worker_journal_t *j, worker_lost_at_t *at, size_t *n,
    exam_redis_e *redis)
{
    uint8_t       sid[EXAM_SID_LEN];
    exam_db_e     rc;
    exam_stmt_t  *s;

    s = &j->lost;
    *n = 0;
    *redis = EXAM_REDIS_OK;

    rc = exam_stmt_prepare(s, &j->mysql, WORKER_LOST_SQL);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    exam_stmt_cstr(s, 0, at->session);
    exam_stmt_cstr(s, 1, at->kind);
    exam_stmt_int(s, 2, at->n);

    rc = exam_stmt_execute(s);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    while ((rc = exam_stmt_fetch(s)) == EXAM_DB_OK) {

        (*n)++;

        exam_stmt_col_copy(s, 0, at->session, sizeof(at->session));
        exam_stmt_col_copy(s, 1, at->kind, sizeof(at->kind));
        at->n = exam_stmt_col_int(s, 2);

        if (!exam_sid_parse(exam_stmt_col_str(s, 0), sid)) {
            exam_log(EXAM_LOG_ALERT, "journal", 0,
                     "malformed row of lost_segments");
            continue;
        }

        *redis = worker_lost_append(j, exam_stmt_col_str(s, 3),
                                    exam_stmt_col_str(s, 4), sid,
                                    exam_stmt_col_str(s, 1),
                                    (uint32_t) exam_stmt_col_int(s, 2),
                                    exam_stmt_col_str(s, 5));

        if (*redis != EXAM_REDIS_OK) {
            exam_stmt_reset(s);
            return EXAM_DB_OK;
        }
    }

    if (rc != EXAM_DB_END) {
        exam_redis_close(&j->redis);
        return rc;
    }

    if (*n != 0) {
        *redis = exam_redis_replies(&j->redis, NULL, NULL);
    }

    return EXAM_DB_OK;
}
