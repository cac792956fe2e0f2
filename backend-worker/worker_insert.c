
/*
 * Rows: one transaction for a batch, multi-row prepared INSERTs.  The results
 * go to item->outcome and count only once the caller has committed; after a
 * lost connection the whole batch is simply done again, because a row that is
 * there already changes nothing.
 *
 * Who is already there?  An INSERT with ON DUPLICATE KEY UPDATE that updates
 * nothing leaves fewer affected rows than there are items.  Only then each
 * missing item is looked at: same segment and same hash = a double, one row and
 * one file are enough; another hash = both are kept, the later one as a further
 * variant, whose number goes to its side-car before the commit.
 */


#include "worker.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>


#define WORKER_VARIANTS     8       /* tries to get a number of one's own */

#define WORKER_SAME_SQL                                                       \
    "SELECT upload_id, node, sha256, bytes, variant, path FROM recordings "   \
    "WHERE exam = ? AND student = ? AND session = ? AND kind = ? AND n = ? "  \
    "ORDER BY variant"


static const unsigned  worker_sizes[] = { 256, 64, 16, 4, 1 };


static exam_db_e worker_insert_some(worker_t *w, worker_item_t **items,
    size_t n, uint64_t *inserted);
static exam_db_e worker_insert_rows(worker_t *w, worker_item_t **items,
    size_t which, uint64_t *inserted);
static exam_db_e worker_insert_missing(worker_t *w, worker_batch_t *b);
static exam_db_e worker_insert_variant(worker_t *w, worker_item_t *item);
static bool worker_insert_kept(worker_t *w, const exam_stmt_t *s);


exam_db_e
worker_insert_batch(worker_t *w, worker_batch_t *b)
{
    size_t          i, n;
    uint64_t        inserted;
    exam_db_e       rc;
    worker_item_t  *item, *items[WORKER_BATCH];

    n = 0;

    for (i = 0; i < b->n; i++) {
        item = &b->items[i];

        if (item->state != WORKER_FILED) {
            continue;
        }

        item->outcome = WORKER_STORED;
        item->variant = item->noted;

        memcpy(item->kept_id, item->id, sizeof(item->id));
        memcpy(item->kept_node, w->conf.node, sizeof(w->conf.node));

        items[n++] = item;
    }

    if (n == 0) {
        return EXAM_DB_OK;
    }

    inserted = 0;

    rc = worker_insert_some(w, items, n, &inserted);

    if (rc != EXAM_DB_OK || inserted == n) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        items[i]->wanted = items[i]->outcome == WORKER_STORED;
    }

    rc = worker_db_find(w, b);

    return rc == EXAM_DB_OK ? worker_insert_missing(w, b) : rc;
}


/* a row that MySQL refuses is found by halving, the others go in */

static exam_db_e
worker_insert_some(worker_t *w, worker_item_t **items, size_t n,
    uint64_t *inserted)
{
    size_t     which, k;
    exam_db_e  rc;

    while (n > 0) {

        for (which = 0; worker_sizes[which] > n; which++) { /* void */ }

        k = worker_sizes[which];
        rc = worker_insert_rows(w, items, which, inserted);

        if (rc == EXAM_DB_DATA && k == 1) {
            exam_log(EXAM_LOG_ERROR, "mysql", 0,
                     "the table refuses \"%s\" (%u: %s): kept in work/",
                     items[0]->id, w->mysql.code, w->mysql.error);
            items[0]->outcome = WORKER_FAILED;

        } else if (rc == EXAM_DB_DATA) {
            rc = worker_insert_some(w, items, k / 2, inserted);

            if (rc != EXAM_DB_OK) {
                return rc;
            }

            rc = worker_insert_some(w, items + k / 2, k - k / 2, inserted);

            if (rc != EXAM_DB_OK) {
                return rc;
            }

        } else if (rc != EXAM_DB_OK) {
            return rc;
        }

        items += k;
        n -= k;
    }

    return EXAM_DB_OK;
}


static exam_db_e
worker_insert_rows(worker_t *w, worker_item_t **items, size_t which,
    uint64_t *inserted)
{
    unsigned          i;
    exam_db_e         rc;
    exam_stmt_t      *s;
    exam_recording_t  r;

    s = &w->db.insert[which];

    rc = exam_stmt_prepare_rows(s, &w->mysql, EXAM_RECORDING_INSERT,
                                EXAM_RECORDING_ROW, worker_sizes[which],
                                EXAM_RECORDING_KEEP);
    if (rc != EXAM_DB_OK) {
        return rc;
    }

    for (i = 0; i < worker_sizes[which]; i++) {
        worker_sidecar_row(items[i], &r);
        exam_recording_bind(s, i * EXAM_RECORDING_NCOLUMNS, &r);
    }

    rc = exam_stmt_execute(s);

    if (rc == EXAM_DB_OK) {
        *inserted += exam_stmt_affected(s);
    }

    return rc;
}


static exam_db_e
worker_insert_missing(worker_t *w, worker_batch_t *b)
{
    size_t     i;
    exam_db_e  rc;

    for (i = 0; i < b->n; i++) {

        if (b->items[i].state != WORKER_FILED || !b->items[i].wanted) {
            continue;
        }

        rc = worker_insert_variant(w, &b->items[i]);

        if (rc != EXAM_DB_OK) {
            return rc;
        }
    }

    return EXAM_DB_OK;
}


static exam_db_e
worker_insert_variant(worker_t *w, worker_item_t *item)
{
    uint32_t   next;
    uint64_t   inserted;
    unsigned   tries;
    exam_db_e  rc;

    for (tries = 0; tries < WORKER_VARIANTS; tries++) {

        rc = worker_insert_same(w, item, &next);

        if (rc != EXAM_DB_OK || item->outcome == WORKER_DOUBLE) {
            return rc;
        }

        item->variant = next;
        inserted = 0;

        rc = worker_insert_some(w, &item, 1, &inserted);

        if (rc != EXAM_DB_OK || item->outcome == WORKER_FAILED) {
            return rc;
        }

        /* before the commit: nobody else would know the number */

        if (inserted == 1) {
            return item->variant == item->noted
                   || worker_store_note(w, item) == 0
                   ? EXAM_DB_OK : EXAM_DB_RETRY;
        }

        /* another node has taken that number in between */
    }

    return EXAM_DB_RETRY;
}


/* DOUBLE with kept_id and kept_node, or the next free number */

exam_db_e
worker_insert_same(worker_t *w, worker_item_t *item, uint32_t *next)
{
    int64_t       variant;
    exam_db_e     rc;
    exam_str_t    hash;
    exam_stmt_t  *s;

    s = &w->db.same;
    *next = 0;

    rc = exam_stmt_prepare(s, &w->mysql, WORKER_SAME_SQL);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    exam_stmt_text(s, 0, item->m.exam);
    exam_stmt_text(s, 1, item->m.student);
    exam_stmt_cstr(s, 2, item->sid);
    exam_stmt_text(s, 3, item->m.kind);
    exam_stmt_int(s, 4, item->m.n);

    rc = exam_stmt_execute(s);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    while ((rc = exam_stmt_fetch(s)) == EXAM_DB_OK) {
        variant = exam_stmt_col_int(s, 4);
        hash = exam_stmt_col_str(s, 2);

        if (variant >= *next) {
            *next = (uint32_t) variant + 1;
        }

        if (hash.len == EXAM_HASH_LEN
            && memcmp(hash.data, item->m.sha256, EXAM_HASH_LEN) == 0
            && exam_stmt_col_int(s, 3) == item->m.length
            && worker_insert_kept(w, s))
        {
            exam_stmt_col_copy(s, 0, item->kept_id, sizeof(item->kept_id));
            exam_stmt_col_copy(s, 1, item->kept_node, sizeof(item->kept_node));
            item->outcome = WORKER_DOUBLE;

            exam_stmt_reset(s);

            return EXAM_DB_OK;
        }
    }

    return rc == EXAM_DB_END ? EXAM_DB_OK : rc;
}


/*
 * The second file is only given up for one that is there.  Another node's
 * store cannot be seen from here: its row is believed.
 */

static bool
worker_insert_kept(worker_t *w, const exam_stmt_t *s)
{
    char         path[WORKER_PATH_MAX];
    struct stat  st;

    if (!exam_str_eq(exam_stmt_col_str(s, 1), w->node)) {
        return true;
    }

    exam_stmt_col_copy(s, 5, path, sizeof(path));

    if (fstatat(w->store, path, &st, AT_SYMLINK_NOFOLLOW) == 0
        && st.st_size == exam_stmt_col_int(s, 3))
    {
        return true;
    }

    exam_log(EXAM_LOG_ALERT, "mysql", errno,
             "the table has \"%s\", the store has not", path);

    return false;
}
