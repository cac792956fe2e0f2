
/*
 * Ends a candidate's session from outside.  Redis decides: the script marks the
 * generation that was read as ended, or says that a later login has replaced it
 * meanwhile, and then that one is ended.
 */


#include "exam_live.h"
#include "exam_control.h"
#include "exam_json.h"

#include <stdio.h>


#define EXAM_LIVE_SESSION_MAX  4096     /* arena for one session's JSON */
#define EXAM_LIVE_TRIES        5


typedef struct {
    char     sid[EXAM_SID_HEX + 1];
    int64_t  gen;
    bool     ended;
} exam_live_session_t;


static exam_live_e exam_live_session(exam_redis_t *redis, exam_str_t exam,
    exam_str_t student, exam_live_session_t *s);
static exam_err_e exam_live_session_member(void *data,
    const exam_json_value_t *v);
static exam_live_e exam_live_logout(exam_redis_t *redis,
    const exam_conf_t *conf, exam_str_t exam, exam_str_t student,
    const exam_live_session_t *s, bool *replaced);


exam_live_e
exam_live_force_logout(exam_redis_t *redis, const exam_conf_t *conf,
    exam_str_t exam, exam_str_t student)
{
    bool                 replaced;
    unsigned             tries;
    exam_live_e          rc;
    exam_live_session_t  s;

    replaced = true;
    rc = EXAM_LIVE_OK;

    for (tries = 0; replaced && tries < EXAM_LIVE_TRIES; tries++) {

        rc = exam_live_session(redis, exam, student, &s);

        if (rc != EXAM_LIVE_OK) {
            return rc;
        }

        if (s.ended) {
            return EXAM_LIVE_NOT_FOUND;
        }

        rc = exam_live_logout(redis, conf, exam, student, &s, &replaced);

        if (rc != EXAM_LIVE_OK) {
            return rc;
        }
    }

    if (replaced) {
        return EXAM_LIVE_BUSY;
    }

    /* it is ended whether nodes are told now or learn it by their flush */

    if (exam_control_end(redis, exam, student,
                         exam_str_make(s.sid, EXAM_SID_HEX),
                         exam_str("forced"))
        == EXAM_REDIS_OK)
    {
        (void) !exam_redis_replies(redis, NULL, NULL);
    }

    return EXAM_LIVE_OK;
}


/* the student's entry; NOT_FOUND without one or without a readable one */

static exam_live_e
exam_live_session(exam_redis_t *redis, exam_str_t exam, exam_str_t student,
    exam_live_session_t *s)
{
    char           key[EXAM_KEY_MAX];
    exam_str_t     args[3], text;
    redisReply    *reply;
    exam_err_e     err;
    exam_arena_t   arena;
    uint64_t       memory[EXAM_LIVE_SESSION_MAX / sizeof(uint64_t)];

    memset(s, 0, sizeof(exam_live_session_t));

    args[0] = exam_str("HGET");
    args[1] = exam_str_make(key, exam_key(key, EXAM_KEY_SESSIONS, exam,
                                          exam_str("")));
    args[2] = student;

    if (exam_redis_argv(redis, &reply, 3, args) != EXAM_REDIS_OK) {
        return EXAM_LIVE_REDIS;
    }

    text = exam_redis_str(reply);

    exam_arena_init(&arena, memory, sizeof(memory));
    err = exam_json_parse(text, &arena, exam_live_session_member, s);

    freeReplyObject(reply);

    return (err == EXAM_OK && s->sid[0] != '\0') ? EXAM_LIVE_OK
                                                 : EXAM_LIVE_NOT_FOUND;
}


static exam_err_e
exam_live_session_member(void *data, const exam_json_value_t *v)
{
    uint8_t               sid[EXAM_SID_LEN];
    exam_live_session_t  *s;

    s = data;

    if (v->depth != 1) {
        return EXAM_OK;
    }

    if (exam_str_eq(v->key, exam_str("sid")) && v->type == EXAM_JSON_STRING
        && exam_sid_parse(v->string, sid))
    {
        memcpy(s->sid, v->string.data, EXAM_SID_HEX);
    }

    if (exam_str_eq(v->key, exam_str("gen")) && v->type == EXAM_JSON_INT) {
        s->gen = v->integer;
    }

    if (exam_str_eq(v->key, exam_str("ended"))
        && v->type == EXAM_JSON_STRING)
    {
        s->ended = v->string.len != 0;
    }

    return EXAM_OK;
}


static exam_live_e
exam_live_logout(exam_redis_t *redis, const exam_conf_t *conf,
    exam_str_t exam, exam_str_t student, const exam_live_session_t *s,
    bool *replaced)
{
    char         keys[6][EXAM_KEY_MAX], gen[24];
    size_t       i;
    uint8_t      memory[EXAM_KINDS_MAX * (EXAM_KIND_MAX + 1)];
    exam_str_t   args[13];
    exam_buf_t   kinds;
    redisReply  *reply;

    static const exam_key_e  which[] = {
        EXAM_KEY_EXAM, EXAM_KEY_SESSIONS, EXAM_KEY_SEG, EXAM_KEY_STORED,
        EXAM_KEY_FLAGS, EXAM_KEY_CHANGES
    };

    exam_buf_init(&kinds, memory, sizeof(memory));

    for (i = 0; i < conf->nkinds; i++) {
        if (i != 0) {
            exam_buf_char(&kinds, ',');
        }

        exam_buf_put(&kinds, conf->kinds[i], strlen(conf->kinds[i]));
    }

    args[0] = exam_str(EXAM_KEY_LOADED);

    for (i = 0; i < 6; i++) {
        args[1 + i] = exam_str_make(keys[i],
                          exam_key(keys[i], which[i], exam,
                                   which[i] == EXAM_KEY_SEG ? student
                                                            : exam_str("")));
    }

    (void) snprintf(gen, sizeof(gen), "%lld", (long long) s->gen);

    args[7] = student;
    args[8] = exam_str_make(s->sid, EXAM_SID_HEX);
    args[9] = exam_str_make(gen, strlen(gen));
    args[10] = exam_str_make(conf->node, strlen(conf->node));
    args[11] = exam_str("forced");
    args[12] = exam_str_make(kinds.start, exam_buf_len(&kinds));

    if (exam_redis_eval(redis, EXAM_SCRIPT_LOGOUT, &reply, 13, args)
        != EXAM_REDIS_OK)
    {
        return EXAM_LIVE_REDIS;
    }

    if (!exam_str_eq(exam_redis_str(exam_redis_item(reply, 0)),
                     exam_str("ok")))
    {
        (void) snprintf(redis->error, sizeof(redis->error),
                        "redis has not been loaded yet");
        freeReplyObject(reply);

        return EXAM_LIVE_REDIS;
    }

    *replaced = exam_str_eq(exam_redis_str(exam_redis_item(reply, 1)),
                            exam_str("replaced"));
    freeReplyObject(reply);

    return EXAM_LIVE_OK;
}
