
/*
 * Brings Redis to what MySQL has: exam by exam where versions differ (sync),
 * and whole when Redis was emptied (refill).  The refill runs under the lease
 * exam:rebuild, one program at a time; it may be repeated at any point, every
 * step of it gives the same again, and exam:loaded, written last and only by
 * who still holds the lease, is what makes it count.
 */


#include "exam_command.h"
#include "exam_live.h"
#include "exam_time.h"

#include <stdio.h>
#include <stdlib.h>


#define EXAM_LIVE_LEASE_MS    30000
#define EXAM_LIVE_BATCH       200       /* ledger rows a script call */
#define EXAM_LIVE_CALLS       200       /* script calls before the replies */
#define EXAM_LIVE_HEAD        3         /* seg, stored, student */
#define EXAM_LIVE_COLUMNS     8         /* of a ledger row */
#define EXAM_LIVE_ROW_SIZE    (EXAM_SID_HEX + EXAM_KIND_MAX + EXAM_NODE_MAX   \
                               + EXAM_UPLOAD_MAX + 2 * EXAM_HASH_LEN          \
                               + 4 * EXAM_REASON_MAX + 64)


typedef struct {
    char          id[EXAM_EXAM_MAX + 1];
    bool          archived;
    int64_t       version;
    int64_t       shown;            /* by Redis, -1 none */
    bool          roster;           /* Redis has its `_v` */
} exam_live_item_t;


typedef struct {
    exam_live_item_t  *items;
    size_t             n;
    size_t             max;
} exam_live_list_t;


/* one call of the script settle: rows of one student */

typedef struct {
    exam_redis_t  *redis;
    exam_str_t     exam;
    char           token[EXAM_LOADED_MAX];      /* of the lease */
    unsigned       calls;
    const char    *state;           /* of all rows of the query */
    char           student[EXAM_STUDENT_MAX + 1];
    size_t         n;               /* args filled, keys and student too */
    exam_str_t     args[EXAM_LIVE_HEAD + EXAM_LIVE_COLUMNS * EXAM_LIVE_BATCH];
    exam_buf_t     buf;             /* what args point to */
    uint8_t        memory[EXAM_LIVE_BATCH * EXAM_LIVE_ROW_SIZE];
} exam_live_ledger_t;


static exam_live_e exam_live_list(exam_mysql_t *db, exam_live_list_t *list);
static exam_live_e exam_live_shown(exam_redis_t *redis,
    exam_live_list_t *list);
static void exam_live_shown_reply(void *data, size_t i,
    const redisReply *reply);
static exam_live_e exam_live_refill_all(exam_mysql_t *db, exam_redis_t *redis,
    const exam_conf_t *conf, const exam_live_list_t *list, const char *token);
static exam_live_e exam_live_refill_exam(exam_mysql_t *db,
    exam_redis_t *redis, const exam_conf_t *conf, exam_live_ledger_t *ledger);
static exam_live_e exam_live_refill_commands(exam_mysql_t *db,
    exam_redis_t *redis, const exam_conf_t *conf, const exam_live_list_t *list,
    const char *token);
static exam_live_e exam_live_ledger(exam_mysql_t *db,
    exam_live_ledger_t *ledger, const char *state, const char *sql);
static exam_live_e exam_live_ledger_row(exam_live_ledger_t *ledger,
    const exam_stmt_t *stmt);
static void exam_live_ledger_put(exam_live_ledger_t *ledger,
    exam_str_t value);
static exam_live_e exam_live_ledger_call(exam_live_ledger_t *ledger);
static exam_live_e exam_live_ledger_replies(exam_live_ledger_t *ledger);
static exam_live_e exam_live_lease(exam_redis_t *redis, const char *script,
    const char *token);


static const char  exam_live_lease_take[] =
    "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then\n"
    "  return 1\n"
    "end\n"
    "return 0\n";

static const char  exam_live_lease_renew[] =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
    "return redis.call('PEXPIRE', KEYS[1], ARGV[2])\n";

static const char  exam_live_lease_loaded[] =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
    "redis.call('SET', KEYS[2], ARGV[1])\n"
    "return redis.call('DEL', KEYS[1])\n";

static const char  exam_live_lease_drop[] =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
    "return redis.call('DEL', KEYS[1])\n";


exam_live_e
exam_live_sync(exam_mysql_t *db, exam_redis_t *redis, unsigned *loaded)
{
    size_t             i;
    exam_live_e        rc;
    exam_live_item_t  *item;
    exam_live_list_t   list;

    *loaded = 0;

    rc = exam_live_list(db, &list);

    if (rc == EXAM_LIVE_OK) {
        rc = exam_live_shown(redis, &list);
    }

    for (i = 0; rc == EXAM_LIVE_OK && i < list.n; i++) {
        item = &list.items[i];

        if (item->shown == item->version && (item->roster || item->archived)) {
            continue;
        }

        rc = exam_live_load(db, redis, exam_str_make(item->id,
                                                     strlen(item->id)));
        if (rc == EXAM_LIVE_OK) {
            (*loaded)++;
        }
    }

    free(list.items);

    return rc;
}


exam_live_e
exam_live_loaded(exam_redis_t *redis, char value[EXAM_LOADED_MAX])
{
    exam_str_t   s;
    redisReply  *reply;

    value[0] = '\0';

    if (exam_redis_command(redis, &reply, "GET " EXAM_KEY_LOADED)
        != EXAM_REDIS_OK)
    {
        return EXAM_LIVE_REDIS;
    }

    s = exam_redis_str(reply);

    if (reply->type == REDIS_REPLY_STRING) {

        /* set by hand to something empty or long: still loaded */

        (void) snprintf(value, EXAM_LOADED_MAX, "%.*s",
                        s.len != 0 ? (int) s.len : 1,
                        s.len != 0 ? (const char *) s.data : "?");
    }

    freeReplyObject(reply);

    return EXAM_LIVE_OK;
}


exam_live_e
exam_live_refill(exam_mysql_t *db, exam_redis_t *redis,
    const exam_conf_t *conf, exam_live_spool_pt spool, void *data)
{
    char              token[EXAM_LOADED_MAX], value[EXAM_LOADED_MAX];
    uint32_t          random;
    exam_live_e       rc;
    exam_live_list_t  list;

    rc = exam_live_loaded(redis, value);

    if (rc != EXAM_LIVE_OK || value[0] != '\0') {
        return rc;
    }

    exam_random(&random, sizeof(random));

    (void) snprintf(token, sizeof(token), "%s-%lld-%08x", conf->node,
                    (long long) exam_now_ms(), (unsigned) random);

    rc = exam_live_lease(redis, exam_live_lease_take, token);

    if (rc != EXAM_LIVE_OK) {
        return rc;
    }

    rc = exam_live_list(db, &list);

    if (rc == EXAM_LIVE_OK) {
        rc = exam_live_refill_all(db, redis, conf, &list, token);
    }

    if (rc == EXAM_LIVE_OK) {
        rc = exam_live_refill_commands(db, redis, conf, &list, token);
    }

    free(list.items);

    if (rc == EXAM_LIVE_OK) {
        rc = exam_live_group(redis, exam_str_make(conf->node,
                                                  strlen(conf->node)));
    }

    if (rc == EXAM_LIVE_OK && spool != NULL) {
        rc = spool(redis, data);
    }

    if (rc == EXAM_LIVE_OK) {
        return exam_live_lease(redis, exam_live_lease_loaded, token);
    }

    /* another one may try at once; where this fails the lease expires */

    (void) !exam_live_lease(redis, exam_live_lease_drop, token);

    return rc;
}


static exam_live_e
exam_live_refill_all(exam_mysql_t *db, exam_redis_t *redis,
    const exam_conf_t *conf, const exam_live_list_t *list, const char *token)
{
    size_t               i;
    exam_live_e          rc;
    exam_live_ledger_t  *ledger;

    ledger = malloc(sizeof(exam_live_ledger_t));

    if (ledger == NULL) {
        (void) snprintf(db->error, sizeof(db->error), "out of memory");
        return EXAM_LIVE_DB;
    }

    ledger->redis = redis;
    (void) snprintf(ledger->token, sizeof(ledger->token), "%s", token);

    rc = EXAM_LIVE_OK;

    for (i = 0; rc == EXAM_LIVE_OK && i < list->n; i++) {
        ledger->exam = exam_str_make(list->items[i].id,
                                     strlen(list->items[i].id));

        rc = exam_live_lease(redis, exam_live_lease_renew, token);

        if (rc == EXAM_LIVE_OK) {
            rc = exam_live_load(db, redis, ledger->exam);
        }

        if (rc == EXAM_LIVE_OK && !list->items[i].archived) {
            rc = exam_live_refill_exam(db, redis, conf, ledger);
        }
    }

    free(ledger);

    return rc;
}


/* in the order of the unique index, so that nothing is sorted */

static exam_live_e
exam_live_refill_exam(exam_mysql_t *db, exam_redis_t *redis,
    const exam_conf_t *conf, exam_live_ledger_t *ledger)
{
    exam_live_e  rc;

    rc = exam_live_sessions(db, redis, conf, ledger->exam);

    if (rc == EXAM_LIVE_OK) {
        rc = exam_live_ledger(db, ledger, "stored",
                              "SELECT student, session, kind, n, node, "
                              "upload_id, bytes, LOWER(HEX(sha256)) "
                              "FROM recordings WHERE exam = ? AND variant = 0 "
                              "ORDER BY student, session, kind, n");
    }

    return (rc == EXAM_LIVE_OK)
           ? exam_live_ledger(db, ledger, "lost",
                              "SELECT student, session, kind, n, '-', '-', "
                              "NULL, IF(reason = '', '-', "
                              "CONCAT('- ', reason)) "
                              "FROM lost_segments WHERE exam = ? "
                              "ORDER BY student, session, kind, n")
           : rc;
}


/*
 * Last of all: what fails before is done again without commands that stand in
 * the stream twice, which is harmless, but is read by every node.
 */

static exam_live_e
exam_live_refill_commands(exam_mysql_t *db, exam_redis_t *redis,
    const exam_conf_t *conf, const exam_live_list_t *list, const char *token)
{
    size_t       i;
    exam_live_e  rc;

    rc = EXAM_LIVE_OK;

    for (i = 0; rc == EXAM_LIVE_OK && i < list->n; i++) {

        if (list->items[i].archived) {
            continue;
        }

        rc = exam_live_lease(redis, exam_live_lease_renew, token);

        if (rc == EXAM_LIVE_OK) {
            rc = exam_command_refill(db, redis,
                                     exam_str_make(list->items[i].id,
                                                   strlen(list->items[i].id)),
                                     exam_str_make(conf->node,
                                                   strlen(conf->node)));
        }
    }

    return rc;
}


/* raises `seg` and `stored` of one exam by the rows of a query */

static exam_live_e
exam_live_ledger(exam_mysql_t *db, exam_live_ledger_t *ledger,
    const char *state, const char *sql)
{
    exam_db_e    rc;
    exam_live_e  lrc;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    ledger->state = state;
    ledger->calls = 0;
    ledger->student[0] = '\0';
    ledger->n = EXAM_LIVE_HEAD;
    exam_buf_init(&ledger->buf, ledger->memory, sizeof(ledger->memory));

    rc = exam_stmt_prepare(&stmt, db, sql);

    if (rc == EXAM_DB_OK) {
        exam_stmt_text(&stmt, 0, ledger->exam);
        rc = exam_stmt_execute(&stmt);
    }

    lrc = EXAM_LIVE_OK;

    while (rc == EXAM_DB_OK && lrc == EXAM_LIVE_OK) {
        rc = exam_stmt_fetch(&stmt);

        if (rc == EXAM_DB_OK) {
            lrc = exam_live_ledger_row(ledger, &stmt);
        }
    }

    exam_stmt_close(&stmt);

    if (lrc == EXAM_LIVE_OK) {
        lrc = (rc == EXAM_DB_END) ? exam_live_ledger_call(ledger)
                                  : EXAM_LIVE_DB;
    }

    if (lrc == EXAM_LIVE_OK) {
        lrc = exam_live_ledger_replies(ledger);
    }

    if (lrc != EXAM_LIVE_OK && ledger->redis->conn != NULL) {

        /* replies that nobody will read */

        exam_redis_close(ledger->redis);
    }

    return lrc;
}


static exam_live_e
exam_live_ledger_row(exam_live_ledger_t *ledger, const exam_stmt_t *stmt)
{
    char         n[24], bytes[24];
    exam_str_t   student;
    exam_live_e  rc;

    student = exam_stmt_col_str(stmt, 0);

    if (ledger->n == sizeof(ledger->args) / sizeof(ledger->args[0])
        || !exam_str_eq(student, exam_str_make(ledger->student,
                                               strlen(ledger->student))))
    {
        rc = exam_live_ledger_call(ledger);

        if (rc != EXAM_LIVE_OK) {
            return rc;
        }

        exam_stmt_col_copy(stmt, 0, ledger->student, sizeof(ledger->student));
    }

    (void) snprintf(n, sizeof(n), "%lld",
                    (long long) exam_stmt_col_int(stmt, 3));

    if (exam_stmt_col_null(stmt, 6)) {
        (void) snprintf(bytes, sizeof(bytes), "-");

    } else {
        (void) snprintf(bytes, sizeof(bytes), "%lld",
                        (long long) exam_stmt_col_int(stmt, 6));
    }

    exam_live_ledger_put(ledger, exam_stmt_col_str(stmt, 1));
    exam_live_ledger_put(ledger, exam_stmt_col_str(stmt, 2));
    exam_live_ledger_put(ledger, exam_str_make(n, strlen(n)));
    exam_live_ledger_put(ledger, exam_str_make(ledger->state,
                                               strlen(ledger->state)));
    exam_live_ledger_put(ledger, exam_stmt_col_str(stmt, 4));
    exam_live_ledger_put(ledger, exam_stmt_col_str(stmt, 5));
    exam_live_ledger_put(ledger, exam_str_make(bytes, strlen(bytes)));
    exam_live_ledger_put(ledger, exam_stmt_col_str(stmt, 7));

    return EXAM_LIVE_OK;
}


/* the memory holds EXAM_LIVE_BATCH rows of the longest values */

static void
exam_live_ledger_put(exam_live_ledger_t *ledger, exam_str_t value)
{
    ledger->args[ledger->n++] = exam_str_make(ledger->buf.pos, value.len);
    exam_buf_put(&ledger->buf, value.data, value.len);
}


static exam_live_e
exam_live_ledger_call(exam_live_ledger_t *ledger)
{
    char          keys[2][EXAM_KEY_MAX];
    exam_str_t    student;
    exam_redis_e  rc;

    if (ledger->n == EXAM_LIVE_HEAD) {
        return EXAM_LIVE_OK;
    }

    student = exam_str_make(ledger->student, strlen(ledger->student));

    ledger->args[0] = exam_str_make(keys[0],
                                    exam_key(keys[0], EXAM_KEY_SEG,
                                             ledger->exam, student));
    ledger->args[1] = exam_str_make(keys[1],
                                    exam_key(keys[1], EXAM_KEY_STORED,
                                             ledger->exam, exam_str("")));
    ledger->args[2] = student;

    rc = exam_redis_append_eval(ledger->redis, EXAM_SCRIPT_SETTLE, ledger->n,
                                ledger->args);

    ledger->n = EXAM_LIVE_HEAD;
    ledger->buf.pos = ledger->buf.start;

    if (rc != EXAM_REDIS_OK) {
        return EXAM_LIVE_REDIS;
    }

    if (++ledger->calls % EXAM_LIVE_CALLS == 0) {
        return exam_live_ledger_replies(ledger);
    }

    return EXAM_LIVE_OK;
}


static exam_live_e
exam_live_ledger_replies(exam_live_ledger_t *ledger)
{
    if (exam_redis_replies(ledger->redis, NULL, NULL) != EXAM_REDIS_OK) {
        return EXAM_LIVE_REDIS;
    }

    return exam_live_lease(ledger->redis, exam_live_lease_renew,
                           ledger->token);
}


exam_live_e
exam_live_group(exam_redis_t *redis, exam_str_t node)
{
    char          key[EXAM_KEY_MAX];
    exam_redis_e  rc;

    (void) exam_key_recordings(key, node);

    rc = exam_redis_do(redis, "XGROUP CREATE %s workers 0 MKSTREAM", key);

    if (rc == EXAM_REDIS_ERROR
        && strncmp(redis->error, "BUSYGROUP", sizeof("BUSYGROUP") - 1) == 0)
    {
        rc = EXAM_REDIS_OK;
    }

    return (rc == EXAM_REDIS_OK) ? EXAM_LIVE_OK : EXAM_LIVE_REDIS;
}


/* one of the scripts above; BUSY: the lease is another's */

static exam_live_e
exam_live_lease(exam_redis_t *redis, const char *script, const char *token)
{
    bool         ours;
    redisReply  *reply;

    if (exam_redis_command(redis, &reply, "EVAL %s 2 " EXAM_KEY_REBUILD " "
                           EXAM_KEY_LOADED " %s %d", script, token,
                           EXAM_LIVE_LEASE_MS)
        != EXAM_REDIS_OK)
    {
        return EXAM_LIVE_REDIS;
    }

    ours = reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;

    freeReplyObject(reply);

    return ours ? EXAM_LIVE_OK : EXAM_LIVE_BUSY;
}


/* all exams of MySQL; the caller frees list->items, after a failure too */

static exam_live_e
exam_live_list(exam_mysql_t *db, exam_live_list_t *list)
{
    void              *more;
    exam_db_e          rc;
    exam_str_t         state;
    exam_stmt_t        stmt;
    exam_live_item_t  *item;

    memset(list, 0, sizeof(exam_live_list_t));
    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_query(&stmt, db, "SELECT id, state, version FROM exams "
                         "ORDER BY id", NULL, 0);

    while (rc == EXAM_DB_OK) {

        if (list->n == list->max) {
            list->max = list->max * 2 + 16;
            more = realloc(list->items, list->max * sizeof(exam_live_item_t));

            if (more == NULL) {
                (void) snprintf(db->error, sizeof(db->error), "out of memory");
                break;
            }

            list->items = more;
        }

        item = &list->items[list->n++];
        memset(item, 0, sizeof(exam_live_item_t));

        exam_stmt_col_copy(&stmt, 0, item->id, sizeof(item->id));

        state = exam_stmt_col_str(&stmt, 1);
        item->archived = exam_state_parse((const char *) state.data, state.len)
                         == EXAM_STATE_ARCHIVED;
        item->version = exam_stmt_col_int(&stmt, 2);
        item->shown = -1;

        rc = exam_stmt_fetch(&stmt);
    }

    exam_stmt_close(&stmt);

    return (rc == EXAM_DB_END) ? EXAM_LIVE_OK : EXAM_LIVE_DB;
}


/* what Redis shows of each exam of the list */

static exam_live_e
exam_live_shown(exam_redis_t *redis, exam_live_list_t *list)
{
    char          key[EXAM_KEY_MAX];
    size_t        i;
    exam_str_t    exam, args[3];
    exam_redis_e  rc;

    rc = EXAM_REDIS_OK;

    for (i = 0; rc == EXAM_REDIS_OK && i < 2 * list->n; i++) {
        exam = exam_str_make(list->items[i / 2].id,
                             strlen(list->items[i / 2].id));

        args[0] = (i % 2 == 0) ? exam_str("HGET") : exam_str("HEXISTS");
        args[1] = exam_str_make(key, exam_key(key,
                                              (i % 2 == 0) ? EXAM_KEY_EXAM
                                                           : EXAM_KEY_ROSTER,
                                              exam, exam_str("")));
        args[2] = (i % 2 == 0) ? exam_str("version") : exam_str("_v");

        rc = exam_redis_append(redis, 3, args);
    }

    if (rc == EXAM_REDIS_OK) {
        rc = exam_redis_replies(redis, exam_live_shown_reply, list);
    }

    return (rc == EXAM_REDIS_OK) ? EXAM_LIVE_OK : EXAM_LIVE_REDIS;
}


static void
exam_live_shown_reply(void *data, size_t i, const redisReply *reply)
{
    uint64_t           version;
    exam_str_t         s;
    exam_live_item_t  *item;

    item = &((exam_live_list_t *) data)->items[i / 2];

    if (i % 2 == 1) {
        item->roster = reply->type == REDIS_REPLY_INTEGER
                       && reply->integer == 1;
        return;
    }

    s = exam_redis_str(reply);

    if (exam_uint_parse(s.data, s.len, INT64_MAX, &version)) {
        item->shown = (int64_t) version;
    }
}
