
/*
 * Sessions of an emptied Redis from the table `sessions` (DESIGN 5): of each
 * student the latest one, of each session that was ever begun its `stored`.
 * The table may lag behind the journals: what Redis has of a higher generation
 * stays, and a node's next flush brings what is newer than the table.
 */


#include "exam_live.h"

#include <stdio.h>
#include <stdlib.h>


#define EXAM_RESTORE_STUDENTS  200      /* a script call */
#define EXAM_RESTORE_REPLIES   4000     /* commands before the replies */
#define EXAM_RESTORE_HEAD      4        /* EVAL, script, 1, key */
#define EXAM_RESTORE_ROW       4        /* arguments a student */
#define EXAM_RESTORE_JSON_MAX  256
#define EXAM_RESTORE_SIZE      (EXAM_STUDENT_MAX + EXAM_SID_HEX + 24          \
                                + EXAM_RESTORE_JSON_MAX)


typedef struct {
    exam_redis_t       *redis;
    const exam_conf_t  *conf;
    char                sessions[EXAM_KEY_MAX];
    char                stored[EXAM_KEY_MAX];
    unsigned            pending;
    char                student[EXAM_STUDENT_MAX + 1];      /* of the latest */
    char                sid[EXAM_SID_HEX + 1];
    char                gen[24];
    uint8_t             json[EXAM_RESTORE_JSON_MAX];
    size_t              len;            /* of json, 0: no student yet */
    size_t              n;              /* args filled */
    exam_str_t          args[EXAM_RESTORE_HEAD
                             + EXAM_RESTORE_ROW * EXAM_RESTORE_STUDENTS];
    exam_buf_t          buf;            /* what args point to */
    uint8_t             memory[EXAM_RESTORE_STUDENTS * EXAM_RESTORE_SIZE];
} exam_restore_t;


static exam_live_e exam_restore_rows(exam_mysql_t *db, exam_restore_t *r,
    exam_str_t exam);
static exam_redis_e exam_restore_row(exam_restore_t *r,
    const exam_stmt_t *stmt);
static exam_redis_e exam_restore_stored(exam_restore_t *r);
static void exam_restore_json(exam_restore_t *r, const exam_stmt_t *stmt);
static exam_redis_e exam_restore_put(exam_restore_t *r);
static void exam_restore_arg(exam_restore_t *r, const void *data, size_t len);
static exam_redis_e exam_restore_call(exam_restore_t *r);
static exam_redis_e exam_restore_append(exam_restore_t *r, size_t n,
    const exam_str_t *args);


/*
 * KEYS sessions
 * ARGV student gen sid session, for each student
 * The order of generations, and that an end sticks, as in core/exam_script.c.
 */

static const char  exam_restore_script[] =
    "for i = 1, #ARGV, 4 do\n"
    "  local student, gen, sid, new = unpack(ARGV, i, i + 3)\n"
    "  local text = redis.call('HGET', KEYS[1], student)\n"
    "  local ok, old = pcall(cjson.decode, text or '')\n"
    "  gen = tonumber(gen)\n"
    "  if not ok or type(old) ~= 'table' or type(old.sid) ~= 'string'\n"
    "     or not tonumber(old.gen) or tonumber(old.gen) < gen\n"
    "     or tonumber(old.gen) == gen and old.sid < sid\n"
    "     or tonumber(old.gen) == gen and old.sid == sid\n"
    "        and (old.ended or '') == ''\n"
    "  then\n"
    "    redis.call('HSET', KEYS[1], student, new)\n"
    "  end\n"
    "end\n"
    "return 1\n";


exam_live_e
exam_live_sessions(exam_mysql_t *db, exam_redis_t *redis,
    const exam_conf_t *conf, exam_str_t exam)
{
    exam_live_e      rc;
    exam_restore_t  *r;

    r = calloc(1, sizeof(exam_restore_t));

    if (r == NULL) {
        (void) snprintf(db->error, sizeof(db->error), "out of memory");
        return EXAM_LIVE_DB;
    }

    r->redis = redis;
    r->conf = conf;
    r->n = EXAM_RESTORE_HEAD;

    exam_buf_init(&r->buf, r->memory, sizeof(r->memory));

    r->args[0] = exam_str("EVAL");
    r->args[1] = exam_str(exam_restore_script);
    r->args[2] = exam_str("1");
    r->args[3] = exam_str_make(r->sessions,
                               exam_key(r->sessions, EXAM_KEY_SESSIONS, exam,
                                        exam_str("")));

    (void) exam_key(r->stored, EXAM_KEY_STORED, exam, exam_str(""));

    rc = exam_restore_rows(db, r, exam);

    free(r);

    if (rc == EXAM_LIVE_OK
        && exam_redis_replies(redis, NULL, NULL) != EXAM_REDIS_OK)
    {
        return EXAM_LIVE_REDIS;
    }

    if (rc != EXAM_LIVE_OK && redis->conn != NULL) {

        /* replies that nobody will read */

        exam_redis_close(redis);
    }

    return rc;
}


/* the order of the index: the last row of a student is the latest session */

static exam_live_e
exam_restore_rows(exam_mysql_t *db, exam_restore_t *r, exam_str_t exam)
{
    exam_db_e     rc;
    exam_stmt_t   stmt;
    exam_redis_e  rrc;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rrc = EXAM_REDIS_OK;

    rc = exam_stmt_query(&stmt, db, "SELECT student, session, gen, node, ip, "
                         "login_at, ended FROM sessions WHERE exam = ? "
                         "ORDER BY student, gen, session", &exam, 1);

    while (rc == EXAM_DB_OK && rrc == EXAM_REDIS_OK) {
        rrc = exam_restore_row(r, &stmt);

        if (rrc == EXAM_REDIS_OK) {
            rc = exam_stmt_fetch(&stmt);
        }
    }

    exam_stmt_close(&stmt);

    if (rrc == EXAM_REDIS_OK && rc == EXAM_DB_END) {
        rrc = exam_restore_put(r);

        if (rrc == EXAM_REDIS_OK) {
            rrc = exam_restore_call(r);
        }
    }

    if (rrc != EXAM_REDIS_OK) {
        return EXAM_LIVE_REDIS;
    }

    return (rc == EXAM_DB_END) ? EXAM_LIVE_OK : EXAM_LIVE_DB;
}


static exam_redis_e
exam_restore_row(exam_restore_t *r, const exam_stmt_t *stmt)
{
    exam_redis_e  rc;

    rc = EXAM_REDIS_OK;

    if (!exam_str_eq(exam_stmt_col_str(stmt, 0),
                     exam_str_make(r->student, strlen(r->student))))
    {
        rc = exam_restore_put(r);
    }

    exam_restore_json(r, stmt);

    return (rc == EXAM_REDIS_OK) ? exam_restore_stored(r) : rc;
}


/* a number that is there already is as high or higher */

static exam_redis_e
exam_restore_stored(exam_restore_t *r)
{
    char          field[EXAM_STUDENT_MAX + EXAM_SID_HEX + EXAM_KIND_MAX + 3];
    size_t        i;
    exam_str_t    args[4];
    exam_redis_e  rc;

    args[0] = exam_str("HSETNX");
    args[1] = exam_str_make(r->stored, strlen(r->stored));
    args[3] = exam_str("-1");

    rc = EXAM_REDIS_OK;

    for (i = 0; rc == EXAM_REDIS_OK && i < r->conf->nkinds; i++) {
        args[2] = exam_str_make(field,
                                (size_t) snprintf(field, sizeof(field),
                                                  "%s:%s:%s", r->student,
                                                  r->sid, r->conf->kinds[i]));

        rc = exam_restore_append(r, 4, args);
    }

    return rc;
}


/* the form in which the scripts write it, by which the flush knows it again */

static void
exam_restore_json(exam_restore_t *r, const exam_stmt_t *stmt)
{
    exam_buf_t  b;

    exam_stmt_col_copy(stmt, 0, r->student, sizeof(r->student));
    exam_stmt_col_copy(stmt, 1, r->sid, sizeof(r->sid));

    (void) snprintf(r->gen, sizeof(r->gen), "%lld",
                    (long long) exam_stmt_col_int(stmt, 2));

    exam_buf_init(&b, r->json, sizeof(r->json));
    exam_buf_lit(&b, "{\"sid\":\"");
    exam_buf_put(&b, r->sid, strlen(r->sid));
    exam_buf_lit(&b, "\",\"gen\":");
    exam_buf_put(&b, r->gen, strlen(r->gen));
    exam_buf_lit(&b, ",\"node\":");
    exam_buf_json(&b, exam_stmt_col_str(stmt, 3));
    exam_buf_lit(&b, ",\"ip\":");
    exam_buf_json(&b, exam_stmt_col_str(stmt, 4));
    exam_buf_lit(&b, ",\"login_at\":");
    exam_buf_int(&b, exam_stmt_col_int(stmt, 5));
    exam_buf_lit(&b, ",\"ended\":");
    exam_buf_json(&b, exam_stmt_col_str(stmt, 6));
    exam_buf_lit(&b, "}");

    r->len = exam_buf_len(&b);
}


/* the latest session of the student whose rows have come to their end */

static exam_redis_e
exam_restore_put(exam_restore_t *r)
{
    exam_redis_e  rc;

    if (r->len == 0) {
        return EXAM_REDIS_OK;
    }

    rc = EXAM_REDIS_OK;

    if (r->n == sizeof(r->args) / sizeof(r->args[0])) {
        rc = exam_restore_call(r);
    }

    exam_restore_arg(r, r->student, strlen(r->student));
    exam_restore_arg(r, r->gen, strlen(r->gen));
    exam_restore_arg(r, r->sid, strlen(r->sid));
    exam_restore_arg(r, r->json, r->len);

    return rc;
}


/* the memory holds EXAM_RESTORE_STUDENTS rows of the longest values */

static void
exam_restore_arg(exam_restore_t *r, const void *data, size_t len)
{
    r->args[r->n++] = exam_str_make(r->buf.pos, len);
    exam_buf_put(&r->buf, data, len);
}


static exam_redis_e
exam_restore_call(exam_restore_t *r)
{
    exam_redis_e  rc;

    if (r->n == EXAM_RESTORE_HEAD) {
        return EXAM_REDIS_OK;
    }

    rc = exam_restore_append(r, r->n, r->args);

    r->n = EXAM_RESTORE_HEAD;
    r->buf.pos = r->buf.start;

    return rc;
}


static exam_redis_e
exam_restore_append(exam_restore_t *r, size_t n, const exam_str_t *args)
{
    exam_redis_e  rc;

    rc = exam_redis_append(r->redis, n, args);

    if (rc != EXAM_REDIS_OK || ++r->pending < EXAM_RESTORE_REPLIES) {
        return rc;
    }

    r->pending = 0;

    return exam_redis_replies(r->redis, NULL, NULL);
}
