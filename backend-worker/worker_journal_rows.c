
/*
 * Records -> rows: one transaction a batch, multi-row prepared upserts, and the
 * position of the journal with them.
 *
 * Each upsert gives the same row whatever the order of the records and however
 * often each one comes: numbers go to the least or the greatest, and where one
 * record decides over several columns, it is the one that a comparison of its
 * own values picks.  Assignments run from left to right on the row as it
 * becomes, so the columns that decide are assigned last.
 */


#include "worker_journal.h"

#include <string.h>


/* moves on only from where the batch was read: no row changed otherwise */

#define WORKER_POSITION_SQL                                                   \
    "INSERT INTO journal_positions (node, journal, position, updated_at) "    \
    "VALUES (?,?,?,?) ON DUPLICATE KEY UPDATE "                               \
    "updated_at = IF(position = ?, VALUES(updated_at), updated_at), "         \
    "position = IF(position = ?, VALUES(position), position)"

#define WORKER_LEAST(column)                                                  \
    column " = COALESCE(LEAST(" column ", VALUES(" column ")), " column       \
    ", VALUES(" column "))"


typedef struct {
    const char  *head;
    const char  *row;
    const char  *tail;
    unsigned     columns;
    void       (*bind)(exam_stmt_t *s, unsigned i, const worker_record_t *r);
} worker_table_t;


static exam_db_e worker_rows_body(exam_mysql_t *db, void *data);
static exam_db_e worker_rows_tables(worker_journal_t *j);
static exam_db_e worker_rows_some(worker_journal_t *j, worker_table_e table,
    worker_record_t **records, size_t n);
static exam_db_e worker_rows_insert(worker_journal_t *j, worker_table_e table,
    worker_record_t **records, size_t which);
static exam_db_e worker_rows_position(worker_journal_t *j);
static void worker_rows_text(exam_stmt_t *s, unsigned i, exam_str_t value);
static void worker_rows_session(exam_stmt_t *s, unsigned i,
    const worker_record_t *r);
static void worker_rows_presence(exam_stmt_t *s, unsigned i,
    const worker_record_t *r);
static void worker_rows_gap(exam_stmt_t *s, unsigned i,
    const worker_record_t *r);
static void worker_rows_outage(exam_stmt_t *s, unsigned i,
    const worker_record_t *r);
static void worker_rows_delivery(exam_stmt_t *s, unsigned i,
    const worker_record_t *r);
static void worker_rows_event(exam_stmt_t *s, unsigned i,
    const worker_record_t *r);
static void worker_rows_lost(exam_stmt_t *s, unsigned i,
    const worker_record_t *r);


static const unsigned  worker_rows_sizes[WORKER_JOURNAL_SIZES] = {
    256, 64, 16, 4, 1
};

/*
 * A receipt tells of its session, should the record of the login be lost: that
 * one is not waited for.  The receipts themselves the audit reads in the files.
 */

static const worker_table_e  worker_rows_of[EXAM_RECORD_TYPES] = {
    [EXAM_RECORD_LOGIN] = WORKER_TABLE_SESSIONS,
    [EXAM_RECORD_END] = WORKER_TABLE_SESSIONS,
    [EXAM_RECORD_PRESENCE] = WORKER_TABLE_PRESENCE,
    [EXAM_RECORD_GAP] = WORKER_TABLE_GAPS,
    [EXAM_RECORD_OUTAGE] = WORKER_TABLE_OUTAGES,
    [EXAM_RECORD_SENT] = WORKER_TABLE_DELIVERIES,
    [EXAM_RECORD_ACK] = WORKER_TABLE_DELIVERIES,
    [EXAM_RECORD_EVENT] = WORKER_TABLE_EVENTS,
    [EXAM_RECORD_RECEIPT] = WORKER_TABLE_SESSIONS,
    [EXAM_RECORD_LOST] = WORKER_TABLE_LOST
};


static const worker_table_t  worker_rows_tables_of[WORKER_TABLES] = {

    /* of a login: with an address; what ended it first, stays */

    { "INSERT INTO sessions (session, exam, student, gen, node, ip, login_at, "
      "ended, ended_at) VALUES ",
      "(?,?,?,?,?,?,?,?,?)",
      " ON DUPLICATE KEY UPDATE gen = GREATEST(gen, VALUES(gen)), "
      "node = IF(VALUES(ip) <> '', VALUES(node), "
      "IF(ip <> '', node, LEAST(node, VALUES(node)))), "
      "ip = IF(VALUES(ip) <> '', VALUES(ip), ip), "
      WORKER_LEAST("login_at") ", "
      "ended = IF(VALUES(ended) = '', ended, "
      "IF(ended_at IS NULL OR VALUES(ended_at) < ended_at "
      "OR (VALUES(ended_at) = ended_at AND VALUES(ended) < ended), "
      "VALUES(ended), ended)), "
      WORKER_LEAST("ended_at"),
      9, worker_rows_session },

    { "INSERT INTO presence (session, exam, student, first_beat, last_beat, "
      "longest_gap_ms, seq) VALUES ",
      "(?,?,?,?,?,?,?)",
      " ON DUPLICATE KEY UPDATE "
      "first_beat = LEAST(first_beat, VALUES(first_beat)), "
      "last_beat = GREATEST(last_beat, VALUES(last_beat)), "
      "longest_gap_ms = GREATEST(longest_gap_ms, VALUES(longest_gap_ms)), "
      "seq = GREATEST(seq, VALUES(seq))",
      7, worker_rows_presence },

#define WORKER_GAP(column)                                                    \
    column " = IF((VALUES(to_ms), VALUES(missed), VALUES(cause), "            \
    "VALUES(node)) >= (to_ms, missed, cause, node), VALUES(" column "), "     \
    column ")"

    { "INSERT INTO gaps (session, from_ms, to_ms, exam, student, node, cause, "
      "missed) VALUES ",
      "(?,?,?,?,?,?,?,?)",
      " ON DUPLICATE KEY UPDATE "
      WORKER_GAP("node") ", " WORKER_GAP("cause") ", "
      WORKER_GAP("missed") ", " WORKER_GAP("to_ms"),
      8, worker_rows_gap },

    { "INSERT INTO outages (node, what, from_ms, to_ms) VALUES ",
      "(?,?,?,?)",
      " ON DUPLICATE KEY UPDATE to_ms = GREATEST(to_ms, VALUES(to_ms))",
      4, worker_rows_outage },

    /* state by its place in the ENUM */

    { "INSERT INTO deliveries (command, student, state, session, sent_at, "
      "confirmed_at) VALUES ",
      "(?,?,?,?,?,?)",
      " ON DUPLICATE KEY UPDATE session = CASE "
      "WHEN VALUES(confirmed_at) IS NOT NULL THEN "
      "IF(confirmed_at IS NULL OR VALUES(confirmed_at) < confirmed_at "
      "OR (VALUES(confirmed_at) = confirmed_at "
      "AND VALUES(session) < session), VALUES(session), session) "
      "WHEN confirmed_at IS NOT NULL THEN session "
      "WHEN sent_at IS NULL OR VALUES(sent_at) < sent_at "
      "OR (VALUES(sent_at) = sent_at AND VALUES(session) < session) "
      "THEN VALUES(session) ELSE session END, "
      "state = IF(VALUES(state) + 0 > state + 0, VALUES(state), state), "
      WORKER_LEAST("sent_at") ", " WORKER_LEAST("confirmed_at"),
      6, worker_rows_delivery },

    /* one id, two receipts: the earlier one is the event */

#define WORKER_EVENT(column)                                                  \
    column " = IF((VALUES(received_at), VALUES(node), VALUES(type), "         \
    "COALESCE(VALUES(data), '')) <= (received_at, node, type, "               \
    "COALESCE(data, '')), VALUES(" column "), " column ")"

    { "INSERT INTO events (exam, student, session, event, type, client_time, "
      "offset_ms, received_at, node, data) VALUES ",
      "(?,?,?,?,?,?,?,?,?,?)",
      " ON DUPLICATE KEY UPDATE "
      WORKER_EVENT("client_time") ", " WORKER_EVENT("offset_ms") ", "
      WORKER_EVENT("data") ", " WORKER_EVENT("type") ", "
      WORKER_EVENT("node") ", " WORKER_EVENT("received_at"),
      10, worker_rows_event },

#define WORKER_LOST_FIRST(column)                                             \
    column " = IF((VALUES(at), VALUES(reason)) <= (at, reason), "             \
    "VALUES(" column "), " column ")"

    { "INSERT INTO lost_segments (session, kind, n, exam, student, at, "
      "reason) VALUES ",
      "(?,?,?,?,?,?,?)",
      " ON DUPLICATE KEY UPDATE "
      WORKER_LOST_FIRST("reason") ", " WORKER_LOST_FIRST("at"),
      7, worker_rows_lost }
};


/* two nodes may tell of one session: a deadlock is tried again at once */

exam_db_e
worker_journal_rows(worker_journal_t *j)
{
    return exam_mysql_transaction(&j->mysql, worker_rows_body, j);
}


static exam_db_e
worker_rows_body(exam_mysql_t *db, void *data)
{
    exam_db_e          rc;
    worker_journal_t  *j;

    (void) db;

    j = data;
    j->batch.refused = j->batch.unknown;

    rc = worker_rows_tables(j);

    return rc == EXAM_DB_OK ? worker_rows_position(j) : rc;
}


static exam_db_e
worker_rows_tables(worker_journal_t *j)
{
    size_t                   i, n;
    unsigned                 table;
    exam_db_e                rc;
    worker_record_t         *records[WORKER_JOURNAL_BATCH];
    worker_journal_batch_t  *b;

    b = &j->batch;

    for (table = 0; table < WORKER_TABLES; table++) {

        n = 0;

        for (i = 0; i < b->n; i++) {
            if (worker_rows_of[b->records[i].r.type] == table) {
                records[n++] = &b->records[i];
            }
        }

        rc = worker_rows_some(j, table, records, n);

        if (rc != EXAM_DB_OK) {
            return rc;
        }
    }

    return EXAM_DB_OK;
}


/* a record that MySQL refuses is found by halving, the others go in */

static exam_db_e
worker_rows_some(worker_journal_t *j, worker_table_e table,
    worker_record_t **records, size_t n)
{
    char       why[32];
    size_t     which, k;
    exam_db_e  rc;

    while (n > 0) {

        for (which = 0; worker_rows_sizes[which] > n; which++) { /* void */ }

        k = worker_rows_sizes[which];
        rc = worker_rows_insert(j, table, records, which);

        if (rc == EXAM_DB_DATA && k == 1) {

            /* its text may quote the value */

            snprintf(why, sizeof(why), "mysql error %u", j->mysql.code);

            records[0]->refused = true;
            worker_journal_refuse(j, j->batch.file, records[0]->offset,
                                  records[0]->line, why);

        } else if (rc == EXAM_DB_DATA) {
            rc = worker_rows_some(j, table, records, k / 2);

            if (rc == EXAM_DB_OK) {
                rc = worker_rows_some(j, table, records + k / 2, k - k / 2);
            }

            if (rc != EXAM_DB_OK) {
                return rc;
            }

        } else if (rc != EXAM_DB_OK) {
            return rc;
        }

        records += k;
        n -= k;
    }

    return EXAM_DB_OK;
}


static exam_db_e
worker_rows_insert(worker_journal_t *j, worker_table_e table,
    worker_record_t **records, size_t which)
{
    unsigned               i;
    exam_db_e              rc;
    exam_stmt_t           *s;
    const worker_table_t  *t;

    s = &j->rows[table][which];
    t = &worker_rows_tables_of[table];

    rc = exam_stmt_prepare_rows(s, &j->mysql, t->head, t->row,
                                worker_rows_sizes[which], t->tail);

    /* this is not the record's fault */

    if (rc != EXAM_DB_OK) {
        return rc == EXAM_DB_DATA ? EXAM_DB_RETRY : rc;
    }

    for (i = 0; i < worker_rows_sizes[which]; i++) {
        t->bind(s, i * t->columns, records[i]);
    }

    return exam_stmt_execute(s);
}


/*
 * A position that is not the one in mind: the database was put back under a
 * connection that stands.  What it has lost is read again.
 */

static exam_db_e
worker_rows_position(worker_journal_t *j)
{
    int64_t       from;
    uint64_t      n;
    exam_db_e     rc;
    exam_stmt_t  *s;

    s = &j->position;
    from = j->batch.file->position;
    n = 0;

    rc = exam_stmt_prepare(s, &j->mysql, WORKER_POSITION_SQL);

    if (rc == EXAM_DB_OK) {
        exam_stmt_text(s, 0, j->w->node);
        exam_stmt_cstr(s, 1, j->batch.file->name);
        exam_stmt_int(s, 2, j->batch.next);
        exam_stmt_int(s, 3, exam_now_ms());
        exam_stmt_int(s, 4, from);
        exam_stmt_int(s, 5, from);

        rc = exam_stmt_execute(s);
        n = exam_stmt_affected(s);
    }

    /* 1 inserted, 2 updated, 0 neither */

    if (rc == EXAM_DB_OK && (n == 0 || (n == 1 && from != 0))) {
        j->unknown = true;
        j->mysql.code = 0;
        snprintf(j->mysql.error, sizeof(j->mysql.error),
                 "a position was changed by another program");

        return EXAM_DB_RETRY;
    }

    return rc == EXAM_DB_DATA ? EXAM_DB_RETRY : rc;
}


void
worker_journal_rows_close(worker_journal_t *j)
{
    unsigned  i, k;

    for (i = 0; i < WORKER_TABLES; i++) {
        for (k = 0; k < WORKER_JOURNAL_SIZES; k++) {
            exam_stmt_close(&j->rows[i][k]);
        }
    }
}


/* what is empty has no bytes to point to, which would be NULL */

static void
worker_rows_text(exam_stmt_t *s, unsigned i, exam_str_t value)
{
    exam_stmt_text(s, i, value.len != 0 ? value : exam_str(""));
}


static void
worker_rows_session(exam_stmt_t *s, unsigned i, const worker_record_t *r)
{
    bool  end;

    end = r->r.type == EXAM_RECORD_END;

    exam_stmt_cstr(s, i++, r->sid);
    exam_stmt_text(s, i++, r->r.exam);
    exam_stmt_text(s, i++, r->r.student);
    exam_stmt_int(s, i++, (int64_t) r->r.gen);
    exam_stmt_text(s, i++, r->r.node);
    worker_rows_text(s, i++, r->r.ip);
    exam_stmt_known(s, i++, r->r.login_at, r->r.login_at > 0);
    exam_stmt_cstr(s, i++, end ? exam_ended_name(r->r.ended) : "");
    exam_stmt_known(s, i++, r->r.at, end);
}


static void
worker_rows_presence(exam_stmt_t *s, unsigned i, const worker_record_t *r)
{
    exam_stmt_cstr(s, i++, r->sid);
    exam_stmt_text(s, i++, r->r.exam);
    exam_stmt_text(s, i++, r->r.student);
    exam_stmt_int(s, i++, r->r.from);
    exam_stmt_int(s, i++, r->r.to);
    exam_stmt_int(s, i++, r->r.gap_ms);
    exam_stmt_int(s, i++, (int64_t) r->r.seq);
}


static void
worker_rows_gap(exam_stmt_t *s, unsigned i, const worker_record_t *r)
{
    exam_stmt_cstr(s, i++, r->sid);
    exam_stmt_int(s, i++, r->r.from);
    exam_stmt_int(s, i++, r->r.to);
    exam_stmt_text(s, i++, r->r.exam);
    exam_stmt_text(s, i++, r->r.student);
    exam_stmt_text(s, i++, r->r.node);
    exam_stmt_cstr(s, i++, exam_cause_name(r->r.cause));
    exam_stmt_int(s, i++, r->r.missed);
}


static void
worker_rows_outage(exam_stmt_t *s, unsigned i, const worker_record_t *r)
{
    exam_stmt_text(s, i++, r->r.node);
    exam_stmt_text(s, i++, r->r.what);
    exam_stmt_int(s, i++, r->r.from);
    exam_stmt_int(s, i++, r->r.to);
}


static void
worker_rows_delivery(exam_stmt_t *s, unsigned i, const worker_record_t *r)
{
    bool  ack;

    ack = r->r.type == EXAM_RECORD_ACK;

    exam_stmt_int(s, i++, (int64_t) r->r.command);
    exam_stmt_text(s, i++, r->r.student);
    exam_stmt_cstr(s, i++, ack ? "confirmed" : "sent");
    exam_stmt_cstr(s, i++, r->sid);
    exam_stmt_known(s, i++, r->r.at, !ack);
    exam_stmt_known(s, i++, r->r.at, ack);
}


static void
worker_rows_event(exam_stmt_t *s, unsigned i, const worker_record_t *r)
{
    exam_stmt_text(s, i++, r->r.exam);
    exam_stmt_text(s, i++, r->r.student);
    exam_stmt_cstr(s, i++, r->sid);
    exam_stmt_text(s, i++, r->r.event);
    exam_stmt_text(s, i++, r->r.name);
    exam_stmt_known(s, i++, r->r.client_time, r->r.client_time >= 0);
    exam_stmt_known(s, i++, r->r.offset_ms, r->r.has_offset);
    exam_stmt_int(s, i++, r->r.at);
    exam_stmt_text(s, i++, r->r.node);

    if (r->r.data.len != 0) {
        exam_stmt_text(s, i, r->r.data);

    } else {
        exam_stmt_null(s, i);
    }
}


static void
worker_rows_lost(exam_stmt_t *s, unsigned i, const worker_record_t *r)
{
    exam_stmt_cstr(s, i++, r->sid);
    exam_stmt_text(s, i++, r->r.kind);
    exam_stmt_int(s, i++, r->r.n);
    exam_stmt_text(s, i++, r->r.exam);
    exam_stmt_text(s, i++, r->r.student);
    exam_stmt_int(s, i++, r->r.at);
    worker_rows_text(s, i++, r->r.reason);
}
