
/*
 * What nodes see of exams, rosters and flags: written to Redis from MySQL, the
 * only direction.  Changes of one exam and loads of the same exam exclude each
 * other by an advisory lock of MySQL, which dies with its holder's connection.
 *
 * Invariant: the `version` of the hash exam:{E} is written after everything
 * that this version of the exam consists of.  An exam that was only half
 * written shows its old version (or none) and is loaded again.
 */


#include "exam_live.h"
#include "exam_control.h"

#include <stdio.h>


#define EXAM_LIVE_WAIT_S      10
#define EXAM_LIVE_CHUNK       100       /* students a HSET */
#define EXAM_LIVE_CHUNK_SIZE  32768
#define EXAM_LIVE_ROW_MAX     4096      /* JSON of one student */
#define EXAM_LIVE_VERSION_MAX 24
#define EXAM_LIVE_FIELDS      14        /* names and values of the exam hash */
#define EXAM_LIVE_ARGS        13        /* of exam_live_script before them */


typedef struct {
    char        numbers[5][24];
    exam_str_t  args[EXAM_LIVE_FIELDS];
} exam_live_hash_t;


/* a hash that is written under a second name, many fields a HSET */

typedef struct {
    exam_redis_t  *redis;
    bool           any;             /* a HSET was appended */
    size_t         n;               /* args filled */
    exam_str_t     args[2 + 2 * EXAM_LIVE_CHUNK];
    exam_buf_t     buf;             /* what args point to */
    char           key[EXAM_KEY_MAX];
    char           new[EXAM_KEY_MAX + 4];
    uint8_t        memory[EXAM_LIVE_CHUNK_SIZE];
} exam_live_chunk_t;


static exam_live_e exam_live_db(exam_db_e rc);
static exam_live_e exam_live_redis(exam_redis_e rc);
static void exam_live_hash(exam_live_hash_t *h, const exam_live_exam_t *e);
static void exam_live_person_json(exam_buf_t *b, const exam_stmt_t *stmt);
static void exam_live_flags_json(exam_buf_t *b, const exam_live_flags_t *f);
static exam_live_e exam_live_read_flags(exam_mysql_t *db, exam_str_t exam,
    exam_str_t student, exam_live_flags_t *flags);
static exam_live_e exam_live_write(exam_mysql_t *db, exam_redis_t *redis,
    const exam_live_exam_t *e, bool roster);
static exam_live_e exam_live_students(exam_mysql_t *db, exam_redis_t *redis,
    const exam_live_exam_t *e, exam_live_chunk_t *roster);
static exam_live_e exam_live_stream(exam_stmt_t *stmt,
    exam_live_chunk_t *roster, exam_live_chunk_t *flags);
static exam_redis_e exam_live_chunk_open(exam_live_chunk_t *c,
    exam_redis_t *redis, exam_str_t exam, exam_key_e key);
static exam_redis_e exam_live_chunk_put(exam_live_chunk_t *c,
    exam_str_t field, const exam_buf_t *value);
static exam_redis_e exam_live_chunk_flush(exam_live_chunk_t *c);
static exam_redis_e exam_live_chunk_close(exam_live_chunk_t *c);
static exam_redis_e exam_live_show(exam_redis_t *redis,
    const exam_live_exam_t *e);
static exam_redis_e exam_live_tell(exam_redis_t *redis,
    const exam_live_exam_t *e, bool roster);
static exam_live_e exam_live_version(exam_redis_t *redis, exam_str_t exam,
    char version[EXAM_LIVE_VERSION_MAX]);
static bool exam_live_served(const exam_live_exam_t *e);


/*
 * KEYS exam:{E} flags changes control exam:active
 * ARGV before SADD|SREM exam student flags-JSON, then the exam's fields
 * 0: the exam shows another version than `before`, nothing is written
 */

static const char  exam_live_script[] =
    "local EXAM, FLAGS, CHANGES, CONTROL, ACTIVE = unpack(KEYS)\n"
    "local before, change, exam, student, flags = unpack(ARGV, 1, 5)\n"
    "if redis.call('HGET', EXAM, 'version') ~= before then return 0 end\n"
    "if student ~= '' then\n"
    "  redis.call('HSET', FLAGS, student, flags)\n"
    "  redis.call('XADD', CHANGES, 'MAXLEN', '~', 10000, '*', 'type',\n"
    "             'flags', 'student', student, 'flags', flags)\n"
    "else\n"
    "  redis.call('XADD', CHANGES, 'MAXLEN', '~', 10000, '*', 'type',\n"
    "             'exam', unpack(ARGV, 6))\n"
    "end\n"
    "redis.call(change, ACTIVE, exam)\n"
    "redis.call('HSET', EXAM, unpack(ARGV, 6))\n"
    "if student ~= '' then\n"
    "  redis.call('XADD', CONTROL, '*', 'op', 'exam', 'student', student)\n"
    "else\n"
    "  redis.call('XADD', CONTROL, '*', 'op', 'exam')\n"
    "end\n"
    "return 1\n";


exam_live_e
exam_live_lock(exam_mysql_t *db, exam_str_t exam)
{
    char       name[64];
    exam_db_e  rc;

    (void) snprintf(name, sizeof(name), "exam-live:%.*s",
                    (int) exam.len, (const char *) exam.data);

    rc = exam_mysql_lock(db, name, EXAM_LIVE_WAIT_S);

    return (rc == EXAM_DB_RETRY) ? EXAM_LIVE_BUSY : exam_live_db(rc);
}


void
exam_live_unlock(exam_mysql_t *db, exam_str_t exam)
{
    char  name[64];

    (void) snprintf(name, sizeof(name), "exam-live:%.*s",
                    (int) exam.len, (const char *) exam.data);

    exam_mysql_unlock(db, name);
}


exam_live_e
exam_live_read(exam_mysql_t *db, exam_str_t exam, exam_live_exam_t *out)
{
    exam_db_e    rc;
    exam_str_t   state;
    exam_stmt_t  stmt;

    memset(out, 0, sizeof(exam_live_exam_t));
    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_query(&stmt, db, "SELECT id, title, state, starts_at, "
                         "ends_at, pause_ms, paused_at, version FROM exams "
                         "WHERE id = ?", &exam, 1);

    if (rc == EXAM_DB_OK) {
        exam_stmt_col_copy(&stmt, 0, out->id, sizeof(out->id));
        exam_stmt_col_copy(&stmt, 1, out->title, sizeof(out->title));

        state = exam_stmt_col_str(&stmt, 2);

        out->state = exam_state_parse((const char *) state.data, state.len);
        out->starts_at = exam_stmt_col_int(&stmt, 3);
        out->ends_at = exam_stmt_col_int(&stmt, 4);
        out->pause_ms = exam_stmt_col_int(&stmt, 5);
        out->paused_at = exam_stmt_col_int(&stmt, 6);
        out->version = exam_stmt_col_int(&stmt, 7);
    }

    exam_stmt_close(&stmt);

    return exam_live_db(rc);
}


exam_live_e
exam_live_load(exam_mysql_t *db, exam_redis_t *redis, exam_str_t exam)
{
    exam_live_e  rc;

    rc = exam_live_lock(db, exam);

    if (rc != EXAM_LIVE_OK) {
        return rc;
    }

    rc = exam_live_load_locked(db, redis, exam);

    exam_live_unlock(db, exam);

    return rc;
}


exam_live_e
exam_live_load_locked(exam_mysql_t *db, exam_redis_t *redis, exam_str_t exam)
{
    exam_live_e       rc;
    exam_live_exam_t  e;

    rc = exam_live_read(db, exam, &e);

    return (rc == EXAM_LIVE_OK) ? exam_live_write(db, redis, &e, true) : rc;
}


exam_live_e
exam_live_update_all(exam_mysql_t *db, exam_redis_t *redis, exam_str_t exam,
    int64_t before)
{
    char              shown[EXAM_LIVE_VERSION_MAX];
    char              wanted[EXAM_LIVE_VERSION_MAX];
    exam_live_e       rc;
    exam_live_exam_t  e;

    rc = exam_live_read(db, exam, &e);

    if (rc == EXAM_LIVE_OK) {
        rc = exam_live_version(redis, exam, shown);
    }

    if (rc != EXAM_LIVE_OK) {
        return rc;
    }

    (void) snprintf(wanted, sizeof(wanted), "%lld", (long long) before);

    return exam_live_write(db, redis, &e, strcmp(shown, wanted) != 0);
}


/* flags, the roster too if it is asked for, and the hash behind them */

static exam_live_e
exam_live_write(exam_mysql_t *db, exam_redis_t *redis,
    const exam_live_exam_t *e, bool roster)
{
    exam_live_e        rc;
    exam_live_chunk_t  chunk;

    if (e->state == EXAM_STATE_ARCHIVED) {
        return exam_live_redis(exam_live_show(redis, e));
    }

    rc = exam_live_students(db, redis, e, roster ? &chunk : NULL);

    if (rc == EXAM_LIVE_OK) {
        rc = exam_live_redis(exam_live_show(redis, e));

    } else if (redis->conn != NULL) {

        /* replies of what was appended so far belong to nobody */

        exam_redis_close(redis);
    }

    return (rc == EXAM_LIVE_OK)
           ? exam_live_redis(exam_live_tell(redis, e, roster)) : rc;
}


/* nodes and live views; each reads anew what is named */

static exam_redis_e
exam_live_tell(exam_redis_t *redis, const exam_live_exam_t *e, bool roster)
{
    char          key[EXAM_KEY_MAX];
    exam_str_t    exam, args[8];
    exam_redis_e  rc;

    exam = exam_str_make(e->id, strlen(e->id));

    args[0] = exam_str("XADD");
    args[1] = exam_str_make(key, exam_key(key, EXAM_KEY_CHANGES, exam,
                                          exam_str("")));
    args[2] = exam_str("MAXLEN");
    args[3] = exam_str("~");
    args[4] = exam_str("10000");
    args[5] = exam_str("*");
    args[6] = exam_str("type");
    args[7] = exam_str("flags");

    rc = exam_redis_append(redis, 8, args);

    if (rc == EXAM_REDIS_OK) {
        rc = exam_control_exam(redis, exam);
    }

    if (rc == EXAM_REDIS_OK && roster) {
        rc = exam_control_roster(redis, exam);
    }

    return (rc == EXAM_REDIS_OK) ? exam_redis_replies(redis, NULL, NULL) : rc;
}


/* "" where Redis shows no such exam */

static exam_live_e
exam_live_version(exam_redis_t *redis, exam_str_t exam,
    char version[EXAM_LIVE_VERSION_MAX])
{
    char         key[EXAM_KEY_MAX];
    exam_str_t   args[3], s;
    redisReply  *reply;

    args[0] = exam_str("HGET");
    args[1] = exam_str_make(key, exam_key(key, EXAM_KEY_EXAM, exam,
                                          exam_str("")));
    args[2] = exam_str("version");

    if (exam_redis_argv(redis, &reply, 3, args) != EXAM_REDIS_OK) {
        return EXAM_LIVE_REDIS;
    }

    s = exam_redis_str(reply);

    (void) snprintf(version, EXAM_LIVE_VERSION_MAX, "%.*s", (int) s.len,
                    s.len != 0 ? (const char *) s.data : "");

    freeReplyObject(reply);

    return EXAM_LIVE_OK;
}


/* exam:active and the hash; the version goes with the hash, in one command */

static exam_redis_e
exam_live_show(exam_redis_t *redis, const exam_live_exam_t *e)
{
    char              key[EXAM_KEY_MAX];
    exam_str_t        args[2 + EXAM_LIVE_FIELDS];
    exam_redis_e      rc;
    exam_live_hash_t  h;

    args[0] = exam_live_served(e) ? exam_str("SADD") : exam_str("SREM");
    args[1] = exam_str(EXAM_KEY_ACTIVE);
    args[2] = exam_str_make(e->id, strlen(e->id));

    rc = exam_redis_append(redis, 3, args);

    if (rc != EXAM_REDIS_OK) {
        return rc;
    }

    exam_live_hash(&h, e);

    args[1] = exam_str_make(key, exam_key(key, EXAM_KEY_EXAM, args[2],
                                          exam_str("")));
    args[0] = exam_str("HSET");
    memcpy(args + 2, h.args, sizeof(h.args));

    rc = exam_redis_append(redis, 2 + EXAM_LIVE_FIELDS, args);

    return (rc == EXAM_REDIS_OK) ? exam_redis_replies(redis, NULL, NULL) : rc;
}


static void
exam_live_hash(exam_live_hash_t *h, const exam_live_exam_t *e)
{
    size_t       i;
    const char  *state;

    static const char *const  names[] = {
        "starts_at", "ends_at", "pause_ms", "paused_at", "version"
    };

    const int64_t  values[] = {
        e->starts_at, e->ends_at, e->pause_ms, e->paused_at, e->version
    };

    state = exam_state_name(e->state);

    h->args[0] = exam_str("title");
    h->args[1] = exam_str_make(e->title, strlen(e->title));
    h->args[2] = exam_str("state");
    h->args[3] = exam_str_make(state, strlen(state));

    for (i = 0; i < 5; i++) {
        (void) snprintf(h->numbers[i], sizeof(h->numbers[i]), "%lld",
                        (long long) values[i]);

        h->args[4 + 2 * i] = exam_str_make(names[i], strlen(names[i]));
        h->args[5 + 2 * i] = exam_str_make(h->numbers[i],
                                           strlen(h->numbers[i]));
    }
}


/* flags, and the roster unless NULL, each under a second name first */

static exam_live_e
exam_live_students(exam_mysql_t *db, exam_redis_t *redis,
    const exam_live_exam_t *e, exam_live_chunk_t *roster)
{
    uint8_t            memory[24];
    exam_buf_t         version;
    exam_str_t         exam;
    exam_live_e        rc;
    exam_stmt_t        stmt;
    exam_redis_e       rrc;
    exam_live_chunk_t  flags;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    exam = exam_str_make(e->id, strlen(e->id));

    rrc = exam_live_chunk_open(&flags, redis, exam, EXAM_KEY_FLAGS);

    if (rrc == EXAM_REDIS_OK && roster != NULL) {
        rrc = exam_live_chunk_open(roster, redis, exam, EXAM_KEY_ROSTER);
    }

    if (rrc != EXAM_REDIS_OK) {
        return exam_live_redis(rrc);
    }

    rc = exam_live_db(exam_stmt_prepare(&stmt, db, "SELECT student, name, "
                      "seat, LOWER(HEX(code_sha256)), suspended, locked, "
                      "paused, finish, extra_s, group_name FROM students "
                      "WHERE exam = ?"));

    if (rc == EXAM_LIVE_OK) {
        exam_stmt_text(&stmt, 0, exam);
        rc = exam_live_db(exam_stmt_execute(&stmt));
    }

    if (rc == EXAM_LIVE_OK) {
        rc = exam_live_stream(&stmt, roster, &flags);
    }

    exam_stmt_close(&stmt);

    if (rc != EXAM_LIVE_OK) {
        return rc;
    }

    exam_buf_init(&version, memory, sizeof(memory));
    exam_buf_int(&version, e->version);

    rrc = exam_live_chunk_close(&flags);

    if (rrc == EXAM_REDIS_OK && roster != NULL) {
        rrc = exam_live_chunk_put(roster, exam_str("_v"), &version);

        if (rrc == EXAM_REDIS_OK) {
            rrc = exam_live_chunk_close(roster);
        }
    }

    if (rrc == EXAM_REDIS_OK) {
        rrc = exam_redis_replies(redis, NULL, NULL);
    }

    return exam_live_redis(rrc);
}


/* a student without any flag has no entry among the flags */

static exam_live_e
exam_live_stream(exam_stmt_t *stmt, exam_live_chunk_t *roster,
    exam_live_chunk_t *flags)
{
    uint8_t            memory[EXAM_LIVE_ROW_MAX];
    exam_db_e          rc;
    exam_buf_t         b;
    exam_redis_e       rrc;
    exam_live_flags_t  f;

    rrc = EXAM_REDIS_OK;

    while ((rc = exam_stmt_fetch(stmt)) == EXAM_DB_OK) {

        if (roster != NULL) {
            exam_buf_init(&b, memory, sizeof(memory));
            exam_live_person_json(&b, stmt);

            rrc = exam_live_chunk_put(roster, exam_stmt_col_str(stmt, 0), &b);

            if (rrc != EXAM_REDIS_OK) {
                break;
            }
        }

        f.suspended = exam_stmt_col_int(stmt, 4) != 0;
        f.locked = exam_stmt_col_int(stmt, 5) != 0;
        f.paused = exam_stmt_col_int(stmt, 6) != 0;
        f.finish = exam_stmt_col_int(stmt, 7) != 0;
        f.extra_s = exam_stmt_col_int(stmt, 8);

        if (!f.suspended && !f.locked && !f.paused && !f.finish
            && f.extra_s == 0)
        {
            continue;
        }

        exam_buf_init(&b, memory, sizeof(memory));
        exam_live_flags_json(&b, &f);

        rrc = exam_live_chunk_put(flags, exam_stmt_col_str(stmt, 0), &b);

        if (rrc != EXAM_REDIS_OK) {
            break;
        }
    }

    if (rrc != EXAM_REDIS_OK) {
        return exam_live_redis(rrc);
    }

    return (rc == EXAM_DB_END) ? EXAM_LIVE_OK : exam_live_db(rc);
}


static void
exam_live_person_json(exam_buf_t *b, const exam_stmt_t *stmt)
{
    exam_buf_lit(b, "{\"name\":");
    exam_buf_json(b, exam_stmt_col_str(stmt, 1));
    exam_buf_lit(b, ",\"seat\":");
    exam_buf_json(b, exam_stmt_col_str(stmt, 2));
    exam_buf_lit(b, ",\"code\":");
    exam_buf_json(b, exam_stmt_col_str(stmt, 3));
    exam_buf_lit(b, ",\"group\":");
    exam_buf_json(b, exam_stmt_col_str(stmt, 9));
    exam_buf_lit(b, "}");
}


static void
exam_live_flags_json(exam_buf_t *b, const exam_live_flags_t *f)
{
    size_t  i;

    const struct {
        const char  *text;
        bool         value;
    } members[] = {
        { "{\"suspended\":", f->suspended },
        { ",\"locked\":", f->locked },
        { ",\"paused\":", f->paused },
    };

    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        exam_buf_put(b, members[i].text, strlen(members[i].text));
        exam_buf_put(b, members[i].value ? "true" : "false",
                     members[i].value ? 4 : 5);
    }

    exam_buf_lit(b, ",\"extra_s\":");
    exam_buf_int(b, f->extra_s);
    exam_buf_lit(b, ",\"finish\":");
    exam_buf_put(b, f->finish ? "true" : "false", f->finish ? 4 : 5);
    exam_buf_lit(b, "}");
}


/* removes what a program that died may have left under the second name */

static exam_redis_e
exam_live_chunk_open(exam_live_chunk_t *c, exam_redis_t *redis,
    exam_str_t exam, exam_key_e key)
{
    exam_str_t  args[2];

    c->redis = redis;
    c->any = false;
    c->n = 2;

    exam_buf_init(&c->buf, c->memory, sizeof(c->memory));

    (void) exam_key(c->key, key, exam, exam_str(""));
    (void) snprintf(c->new, sizeof(c->new), "%s:new", c->key);

    c->args[0] = exam_str("HSET");
    c->args[1] = exam_str_make(c->new, strlen(c->new));

    args[0] = exam_str("DEL");
    args[1] = c->args[1];

    return exam_redis_append(redis, 2, args);
}


static exam_redis_e
exam_live_chunk_put(exam_live_chunk_t *c, exam_str_t field,
    const exam_buf_t *value)
{
    size_t        len;
    exam_redis_e  rc;

    len = exam_buf_len(value);

    if (c->n == 2 + 2 * EXAM_LIVE_CHUNK
        || (size_t) (c->buf.end - c->buf.pos) < field.len + len)
    {
        rc = exam_live_chunk_flush(c);

        if (rc != EXAM_REDIS_OK) {
            return rc;
        }
    }

    c->args[c->n++] = exam_str_make(c->buf.pos, field.len);
    exam_buf_put(&c->buf, field.data, field.len);

    c->args[c->n++] = exam_str_make(c->buf.pos, len);
    exam_buf_put(&c->buf, value->start, len);

    return EXAM_REDIS_OK;
}


static exam_redis_e
exam_live_chunk_flush(exam_live_chunk_t *c)
{
    exam_redis_e  rc;

    if (c->n == 2) {
        return EXAM_REDIS_OK;
    }

    rc = exam_redis_append(c->redis, c->n, c->args);

    c->any = true;
    c->n = 2;
    c->buf.pos = c->buf.start;

    return rc;
}


static exam_redis_e
exam_live_chunk_close(exam_live_chunk_t *c)
{
    exam_str_t    args[3];
    exam_redis_e  rc;

    rc = exam_live_chunk_flush(c);

    if (rc != EXAM_REDIS_OK) {
        return rc;
    }

    args[2] = exam_str_make(c->key, strlen(c->key));

    if (!c->any) {
        args[1] = exam_str("DEL");
        return exam_redis_append(c->redis, 2, args + 1);
    }

    args[0] = exam_str("RENAME");
    args[1] = exam_str_make(c->new, strlen(c->new));

    return exam_redis_append(c->redis, 3, args);
}


static exam_live_e
exam_live_read_flags(exam_mysql_t *db, exam_str_t exam, exam_str_t student,
    exam_live_flags_t *f)
{
    exam_db_e    rc;
    exam_str_t   args[2];
    exam_stmt_t  stmt;

    memset(f, 0, sizeof(exam_live_flags_t));
    memset(&stmt, 0, sizeof(exam_stmt_t));

    args[0] = exam;
    args[1] = student;

    rc = exam_stmt_query(&stmt, db, "SELECT suspended, locked, paused, finish, "
                         "extra_s FROM students WHERE exam = ? AND student = ?",
                         args, 2);

    if (rc == EXAM_DB_OK) {
        f->suspended = exam_stmt_col_int(&stmt, 0) != 0;
        f->locked = exam_stmt_col_int(&stmt, 1) != 0;
        f->paused = exam_stmt_col_int(&stmt, 2) != 0;
        f->finish = exam_stmt_col_int(&stmt, 3) != 0;
        f->extra_s = exam_stmt_col_int(&stmt, 4);
    }

    exam_stmt_close(&stmt);

    return exam_live_db(rc);
}


exam_live_e
exam_live_update(exam_mysql_t *db, exam_redis_t *redis, exam_str_t exam,
    exam_str_t student, int64_t before)
{
    char               keys[4][EXAM_KEY_MAX];
    char               version[EXAM_LIVE_VERSION_MAX];
    size_t             i;
    uint8_t            memory[256];
    exam_buf_t         json;
    exam_str_t         args[EXAM_LIVE_ARGS + EXAM_LIVE_FIELDS];
    redisReply        *reply;
    exam_live_e        rc;
    exam_redis_e       rrc;
    exam_live_hash_t   h;
    exam_live_exam_t   e;
    exam_live_flags_t  flags;

    static const exam_key_e  which[] = {
        EXAM_KEY_EXAM, EXAM_KEY_FLAGS, EXAM_KEY_CHANGES, EXAM_KEY_CONTROL
    };

    exam_buf_init(&json, memory, sizeof(memory));

    rc = exam_live_read(db, exam, &e);

    if (rc == EXAM_LIVE_OK && student.len != 0) {
        rc = exam_live_read_flags(db, exam, student, &flags);
        exam_live_flags_json(&json, &flags);
    }

    if (rc != EXAM_LIVE_OK) {
        return rc;
    }

    (void) snprintf(version, sizeof(version), "%lld", (long long) before);

    args[0] = exam_str("EVAL");
    args[1] = exam_str(exam_live_script);
    args[2] = exam_str("5");

    for (i = 0; i < 4; i++) {
        args[3 + i] = exam_str_make(keys[i], exam_key(keys[i], which[i], exam,
                                                      exam_str("")));
    }

    args[7] = exam_str(EXAM_KEY_ACTIVE);
    args[8] = exam_str_make(version, strlen(version));
    args[9] = exam_live_served(&e) ? exam_str("SADD") : exam_str("SREM");
    args[10] = exam;
    args[11] = student;
    args[12] = exam_str_make(json.start, exam_buf_len(&json));

    exam_live_hash(&h, &e);
    memcpy(args + EXAM_LIVE_ARGS, h.args, sizeof(h.args));

    rrc = exam_redis_argv(redis, &reply, EXAM_LIVE_ARGS + EXAM_LIVE_FIELDS,
                          args);

    if (rrc != EXAM_REDIS_OK) {
        return exam_live_redis(rrc);
    }

    i = (size_t) reply->integer;

    freeReplyObject(reply);

    return (i == 1) ? EXAM_LIVE_OK : exam_live_load_locked(db, redis, exam);
}


/* a member of exam:active? */

static bool
exam_live_served(const exam_live_exam_t *e)
{
    return e->state == EXAM_STATE_OPEN || e->state == EXAM_STATE_CLOSED;
}


static exam_live_e
exam_live_db(exam_db_e rc)
{
    switch (rc) {

    case EXAM_DB_OK:
        return EXAM_LIVE_OK;

    case EXAM_DB_END:
        return EXAM_LIVE_NOT_FOUND;

    default:
        return EXAM_LIVE_DB;
    }
}


static exam_live_e
exam_live_redis(exam_redis_e rc)
{
    return (rc == EXAM_REDIS_OK) ? EXAM_LIVE_OK : EXAM_LIVE_REDIS;
}
