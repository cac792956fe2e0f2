
/*
 * Commands on their way from MySQL to the control stream, and those that came
 * to their end.  The worker calls all of it; exam_command.c announces what it
 * has just committed.
 *
 * A statement's result is read to its end before the next one begins: lists of
 * ids first, then command by command.
 */


#include "exam_command.h"
#include "exam_control.h"
#include "exam_time.h"

#include <stdio.h>
#include <stdlib.h>


typedef struct {
    uint64_t             id;
    char                 exam[EXAM_EXAM_MAX + 1];
} exam_announce_item_t;


typedef struct {
    exam_announce_item_t  *items;
    size_t                 n;
    size_t                 max;
} exam_announce_list_t;


/* a command and the students of the entry that is being gathered */

typedef struct {
    exam_redis_t        *redis;
    exam_control_send_t  send;
    exam_str_t           node;          /* not empty: acks are gathered */
    bool                 all;
    bool                 canceled;
    bool                 announced;
    char                 exam[EXAM_EXAM_MAX + 1];
    char                 type[EXAM_COMMAND_TYPE_MAX + 1];
    char                 payload[EXAM_COMMAND_PAYLOAD_MAX + 1];
    unsigned             n;
    exam_buf_t           students;
    uint8_t              memory[EXAM_CONTROL_LIST_MAX];
} exam_announce_t;


static exam_live_e exam_announce_read(exam_mysql_t *db, exam_announce_t *a,
    uint64_t id);
static exam_live_e exam_announce_entries(exam_mysql_t *db,
    exam_announce_t *a);
static exam_live_e exam_announce_students(exam_mysql_t *db,
    exam_announce_t *a, const char *sql);
static exam_redis_e exam_announce_flush(exam_announce_t *a);
static exam_live_e exam_announce_end(exam_announce_t *a, exam_live_e rc);
static exam_live_e exam_announce_mark(exam_mysql_t *db, uint64_t id);
static exam_live_e exam_announce_one(exam_mysql_t *db, exam_redis_t *redis,
    const exam_announce_item_t *item, unsigned *n);
static exam_db_e exam_announce_list(exam_mysql_t *db,
    exam_announce_list_t *list, exam_stmt_t *stmt);


exam_live_e
exam_command_announce(exam_mysql_t *db, exam_redis_t *redis, uint64_t id)
{
    exam_live_e      rc;
    exam_announce_t  a;

    a.redis = redis;
    a.node = exam_str("");

    rc = exam_announce_read(db, &a, id);

    if (rc != EXAM_LIVE_OK || a.announced) {
        return rc;
    }

    rc = exam_announce_end(&a, exam_announce_entries(db, &a));

    return (rc == EXAM_LIVE_OK) ? exam_announce_mark(db, id) : rc;
}


static exam_live_e
exam_announce_read(exam_mysql_t *db, exam_announce_t *a, uint64_t id)
{
    exam_db_e    rc;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_prepare(&stmt, db, "SELECT exam, type, payload, "
                           "expires_at, target = '{\"all\":true}', "
                           "canceled_at IS NOT NULL, announced_at IS NOT NULL "
                           "FROM commands WHERE id = ?");

    if (rc == EXAM_DB_OK) {
        exam_stmt_int(&stmt, 0, (int64_t) id);
        rc = exam_stmt_execute(&stmt);
    }

    if (rc == EXAM_DB_OK) {
        rc = exam_stmt_fetch(&stmt);
    }

    if (rc == EXAM_DB_OK) {
        exam_stmt_col_copy(&stmt, 0, a->exam, sizeof(a->exam));
        exam_stmt_col_copy(&stmt, 1, a->type, sizeof(a->type));
        exam_stmt_col_copy(&stmt, 2, a->payload, sizeof(a->payload));

        a->send.exam = exam_str_make(a->exam, strlen(a->exam));
        a->send.id = id;
        a->send.type = exam_str_make(a->type, strlen(a->type));
        a->send.payload = exam_str_make(a->payload, strlen(a->payload));
        a->send.expires_at = exam_stmt_col_int(&stmt, 3);
        a->all = exam_stmt_col_int(&stmt, 4) != 0;
        a->canceled = exam_stmt_col_int(&stmt, 5) != 0;
        a->announced = exam_stmt_col_int(&stmt, 6) != 0;
    }

    exam_stmt_close(&stmt);

    return (rc == EXAM_DB_OK) ? EXAM_LIVE_OK
           : (rc == EXAM_DB_END) ? EXAM_LIVE_NOT_FOUND : EXAM_LIVE_DB;
}


/* appends what tells the nodes of the command as it stands */

static exam_live_e
exam_announce_entries(exam_mysql_t *db, exam_announce_t *a)
{
    exam_redis_e  rc;

    if (!a->canceled && !a->all) {
        return exam_announce_students(db, a, "SELECT student FROM deliveries "
                                      "WHERE command = ? ORDER BY student");
    }

    rc = a->canceled
         ? exam_control_cancel(a->redis, a->send.exam, a->send.id)
         : exam_control_send(a->redis, &a->send, exam_str(""));

    return (rc == EXAM_REDIS_OK) ? EXAM_LIVE_OK : EXAM_LIVE_REDIS;
}


static exam_live_e
exam_announce_students(exam_mysql_t *db, exam_announce_t *a, const char *sql)
{
    exam_db_e     rc;
    exam_str_t    student;
    exam_stmt_t   stmt;
    exam_redis_e  rrc;

    a->n = 0;
    exam_buf_init(&a->students, a->memory, sizeof(a->memory));

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_prepare(&stmt, db, sql);

    if (rc == EXAM_DB_OK) {
        exam_stmt_int(&stmt, 0, (int64_t) a->send.id);
        rc = exam_stmt_execute(&stmt);
    }

    rrc = EXAM_REDIS_OK;

    while (rc == EXAM_DB_OK && rrc == EXAM_REDIS_OK) {
        rc = exam_stmt_fetch(&stmt);

        if (rc != EXAM_DB_OK) {
            break;
        }

        if (a->n == EXAM_ENTRY_STUDENTS) {
            rrc = exam_announce_flush(a);
        }

        if (a->n != 0) {
            exam_buf_char(&a->students, ' ');
        }

        student = exam_stmt_col_str(&stmt, 0);
        exam_buf_put(&a->students, student.data, student.len);
        a->n++;
    }

    exam_stmt_close(&stmt);

    if (rrc == EXAM_REDIS_OK && rc == EXAM_DB_END) {
        rrc = exam_announce_flush(a);
    }

    if (rrc != EXAM_REDIS_OK) {
        return EXAM_LIVE_REDIS;
    }

    return (rc == EXAM_DB_END) ? EXAM_LIVE_OK : EXAM_LIVE_DB;
}


static exam_redis_e
exam_announce_flush(exam_announce_t *a)
{
    exam_str_t  students;

    if (a->n == 0) {
        return EXAM_REDIS_OK;
    }

    students = exam_str_make(a->students.start, exam_buf_len(&a->students));

    a->n = 0;
    a->students.pos = a->students.start;

    return (a->node.len == 0)
           ? exam_control_send(a->redis, &a->send, students)
           : exam_control_ack(a->redis, a->send.exam, a->send.id, a->node,
                              students);
}


/* takes the replies; after a failure they belong to nobody */

static exam_live_e
exam_announce_end(exam_announce_t *a, exam_live_e rc)
{
    if (rc == EXAM_LIVE_OK) {
        return (exam_redis_replies(a->redis, NULL, NULL) == EXAM_REDIS_OK)
               ? EXAM_LIVE_OK : EXAM_LIVE_REDIS;
    }

    if (a->redis->conn != NULL) {
        exam_redis_close(a->redis);
    }

    return rc;
}


static exam_live_e
exam_announce_mark(exam_mysql_t *db, uint64_t id)
{
    exam_db_e    rc;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_prepare(&stmt, db, "UPDATE commands SET announced_at = ? "
                           "WHERE id = ?");

    if (rc == EXAM_DB_OK) {
        exam_stmt_int(&stmt, 0, exam_now_ms());
        exam_stmt_int(&stmt, 1, (int64_t) id);

        rc = exam_stmt_execute(&stmt);
    }

    exam_stmt_close(&stmt);

    return (rc == EXAM_DB_OK) ? EXAM_LIVE_OK : EXAM_LIVE_DB;
}


exam_live_e
exam_command_announce_all(exam_mysql_t *db, exam_redis_t *redis, unsigned *n)
{
    size_t                i;
    exam_db_e             rc;
    exam_live_e           lrc;
    exam_stmt_t           stmt;
    exam_announce_list_t  list;

    *n = 0;

    memset(&list, 0, sizeof(exam_announce_list_t));
    memset(&stmt, 0, sizeof(exam_stmt_t));

    /* exam by exam: that is how the index `unexpired` lies */

    rc = exam_stmt_prepare(&stmt, db, "SELECT c.id, c.exam FROM exams e "
                           "JOIN commands c ON c.exam = e.id "
                           "AND c.expires_at > ? "
                           "WHERE c.announced_at IS NULL "
                           "AND e.state <> 'archived' ORDER BY c.id");

    if (rc == EXAM_DB_OK) {
        exam_stmt_int(&stmt, 0, exam_now_ms());
        rc = exam_announce_list(db, &list, &stmt);
    }

    exam_stmt_close(&stmt);

    lrc = (rc == EXAM_DB_OK) ? EXAM_LIVE_OK : EXAM_LIVE_DB;

    for (i = 0; lrc == EXAM_LIVE_OK && i < list.n; i++) {
        lrc = exam_announce_one(db, redis, &list.items[i], n);
    }

    free(list.items);

    return lrc;
}


static exam_live_e
exam_announce_one(exam_mysql_t *db, exam_redis_t *redis,
    const exam_announce_item_t *item, unsigned *n)
{
    exam_str_t   exam;
    exam_live_e  rc;

    exam = exam_str_make(item->exam, strlen(item->exam));

    rc = exam_live_lock(db, exam);

    if (rc == EXAM_LIVE_BUSY) {
        return EXAM_LIVE_OK;
    }

    if (rc != EXAM_LIVE_OK) {
        return rc;
    }

    rc = exam_command_announce(db, redis, item->id);

    exam_live_unlock(db, exam);

    if (rc == EXAM_LIVE_OK) {
        (*n)++;
    }

    return rc;
}


exam_db_e
exam_command_forget(exam_mysql_t *db, int64_t since)
{
    exam_db_e    rc;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_prepare(&stmt, db, "UPDATE commands SET "
                           "announced_at = NULL WHERE announced_at >= ? "
                           "AND expires_at > ?");

    if (rc == EXAM_DB_OK) {
        exam_stmt_int(&stmt, 0, since);
        exam_stmt_int(&stmt, 1, exam_now_ms());

        rc = exam_stmt_execute(&stmt);
    }

    exam_stmt_close(&stmt);

    return rc;
}


exam_live_e
exam_command_refill(exam_mysql_t *db, exam_redis_t *redis, exam_str_t exam,
    exam_str_t node)
{
    size_t                i;
    exam_db_e             rc;
    exam_live_e           lrc;
    exam_stmt_t           stmt;
    exam_announce_t       a;
    exam_announce_list_t  list;

    /* a command that is cancelled now must not come to life behind that */

    lrc = exam_live_lock(db, exam);

    if (lrc != EXAM_LIVE_OK) {
        return lrc;
    }

    memset(&list, 0, sizeof(exam_announce_list_t));
    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_prepare(&stmt, db, "SELECT id, exam FROM commands "
                           "WHERE exam = ? AND expires_at > ? ORDER BY id");

    if (rc == EXAM_DB_OK) {
        exam_stmt_text(&stmt, 0, exam);
        exam_stmt_int(&stmt, 1, exam_now_ms());
        rc = exam_announce_list(db, &list, &stmt);
    }

    exam_stmt_close(&stmt);

    lrc = (rc == EXAM_DB_OK) ? EXAM_LIVE_OK : EXAM_LIVE_DB;
    a.redis = redis;

    for (i = 0; lrc == EXAM_LIVE_OK && i < list.n; i++) {
        a.node = exam_str("");
        lrc = exam_announce_read(db, &a, list.items[i].id);

        if (lrc == EXAM_LIVE_OK) {
            lrc = exam_announce_entries(db, &a);
        }

        if (lrc == EXAM_LIVE_OK && !a.canceled) {
            a.node = node;
            lrc = exam_announce_students(db, &a, "SELECT student FROM "
                                         "deliveries WHERE command = ? "
                                         "AND state = 'confirmed'");
        }

        lrc = exam_announce_end(&a, lrc);
    }

    free(list.items);
    exam_live_unlock(db, exam);

    return lrc;
}


exam_db_e
exam_command_expire(exam_mysql_t *db, int64_t since, int64_t now, uint64_t *n)
{
    size_t                i;
    exam_db_e             rc;
    exam_stmt_t           find, expire;
    exam_announce_list_t  list;

    *n = 0;

    memset(&list, 0, sizeof(exam_announce_list_t));
    memset(&find, 0, sizeof(exam_stmt_t));
    memset(&expire, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_prepare(&find, db, "SELECT c.id, c.exam FROM exams e "
                           "JOIN commands c ON c.exam = e.id "
                           "AND c.expires_at > ? AND c.expires_at <= ? "
                           "WHERE EXISTS (SELECT 1 FROM deliveries d "
                           "WHERE d.command = c.id "
                           "AND d.state IN ('queued', 'sent'))");

    if (rc == EXAM_DB_OK) {
        exam_stmt_int(&find, 0, since);
        exam_stmt_int(&find, 1, now);
        rc = exam_announce_list(db, &list, &find);
    }

    /* one statement a command: locks that are soon given back */

    for (i = 0; rc == EXAM_DB_OK && i < list.n; i++) {
        rc = exam_stmt_prepare(&expire, db, "UPDATE deliveries "
                               "SET state = 'expired' WHERE command = ? "
                               "AND state IN ('queued', 'sent')");

        if (rc == EXAM_DB_OK) {
            exam_stmt_int(&expire, 0, (int64_t) list.items[i].id);
            rc = exam_stmt_execute(&expire);
        }

        if (rc == EXAM_DB_OK) {
            *n += exam_stmt_affected(&expire);
        }
    }

    exam_stmt_close(&find);
    exam_stmt_close(&expire);
    free(list.items);

    return rc;
}


/* executes, and reads ids and exams; the caller frees list->items */

static exam_db_e
exam_announce_list(exam_mysql_t *db, exam_announce_list_t *list,
    exam_stmt_t *stmt)
{
    void                  *more;
    exam_db_e              rc;
    exam_announce_item_t  *item;

    rc = exam_stmt_execute(stmt);

    while (rc == EXAM_DB_OK) {
        rc = exam_stmt_fetch(stmt);

        if (rc != EXAM_DB_OK) {
            break;
        }

        if (list->n == list->max) {
            list->max = list->max * 2 + 16;
            more = realloc(list->items,
                           list->max * sizeof(exam_announce_item_t));

            if (more == NULL) {
                (void) snprintf(db->error, sizeof(db->error), "out of memory");
                return EXAM_DB_DATA;
            }

            list->items = more;
        }

        item = &list->items[list->n++];

        item->id = (uint64_t) exam_stmt_col_int(stmt, 0);
        exam_stmt_col_copy(stmt, 1, item->exam, sizeof(item->exam));
    }

    return (rc == EXAM_DB_END) ? EXAM_DB_OK : rc;
}
