
/*
 * What may be sent to candidates at all: type, target, payload, expiry, reason
 * and key of a request (DESIGN 5).
 */


#include "exam_command_part.h"
#include "exam_json.h"

#include <stddef.h>


#define EXAM_COMMAND_ARENA   16384      /* yajl and the strings of a payload */


typedef struct {
    exam_str_t  text;
    int64_t     seconds;
} exam_command_members_t;


typedef struct {
    exam_command_members_t         members;
    exam_arena_t                  *arena;
    uint32_t                       given;
    const exam_json_member_t      *member;  /* NULL: the type needs none */
} exam_command_payload_t;


static exam_command_e exam_command_check_to(exam_command_t *c);
static exam_command_e exam_command_check_payload(exam_command_t *c);
static exam_err_e exam_command_member(void *data, const exam_json_value_t *v);
static bool exam_command_key(exam_str_t key);


/* what can be said without MySQL */

exam_command_e
exam_command_check(exam_command_t *c)
{
    exam_command_e                 rc;
    const exam_command_request_t  *r;

    r = c->request;

    c->type = exam_command_parse(r->type);

    if (c->type == EXAM_COMMAND_TYPES) {
        return exam_command_refuse(c->result, EXAM_COMMAND_INVALID,
                                   "bad_type", "the type is one of message, "
                                   "lock, unlock, pause, resume, extra_time, "
                                   "finish, upload_now");
    }

    rc = exam_command_check_to(c);

    if (rc == EXAM_COMMAND_OK) {
        rc = exam_command_check_payload(c);
    }

    if (rc != EXAM_COMMAND_OK) {
        return rc;
    }

    if (r->expires_ms < EXAM_COMMAND_EXPIRES_MIN
        || r->expires_ms > EXAM_COMMAND_EXPIRES_MAX)
    {
        return exam_command_refuse(c->result, EXAM_COMMAND_INVALID,
                                   "bad_expires", "a command expires after 1 "
                                   "second to 24 hours");
    }

    if (r->reason.len > EXAM_COMMAND_REASON_MAX
        || !exam_utf8_valid(r->reason.data, r->reason.len))
    {
        return exam_command_refuse(c->result, EXAM_COMMAND_INVALID,
                                   "bad_reason", "the reason is at most %d "
                                   "bytes of UTF-8", EXAM_COMMAND_REASON_MAX);
    }

    if (!exam_command_key(r->key)) {
        return exam_command_refuse(c->result, EXAM_COMMAND_INVALID,
                                   "bad_key", "an idempotency key is at most "
                                   "%d visible characters of ASCII",
                                   EXAM_COMMAND_KEY_MAX);
    }

    return EXAM_COMMAND_OK;
}


static exam_command_e
exam_command_check_to(exam_command_t *c)
{
    size_t      i;
    exam_str_t  to;

    static const struct {
        exam_str_t         prefix;
        exam_command_to_e  to;
    } forms[] = {
        { { 6, (const uint8_t *) "group:" }, EXAM_TO_GROUP },
        { { 8, (const uint8_t *) "student:" }, EXAM_TO_STUDENT },
    };

    to = c->request->to;

    if (exam_str_eq(to, exam_str("all"))) {
        c->to = EXAM_TO_ALL;
        return EXAM_COMMAND_OK;
    }

    c->to = EXAM_TO_STUDENT;
    c->name = to;

    for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (to.len > forms[i].prefix.len
            && memcmp(to.data, forms[i].prefix.data, forms[i].prefix.len) == 0)
        {
            c->to = forms[i].to;
            c->name = exam_str_make(to.data + forms[i].prefix.len,
                                    to.len - forms[i].prefix.len);
        }
    }

    if (!exam_id_student(c->name)) {
        return exam_command_refuse(c->result, EXAM_COMMAND_INVALID,
                                   "bad_target", "the target is all, group:G, "
                                   "or the id of a student");
    }

    return EXAM_COMMAND_OK;
}


static exam_command_e
exam_command_check_payload(exam_command_t *c)
{
    exam_err_e              err;
    exam_arena_t            arena;
    exam_command_payload_t  p;
    uint64_t                memory[EXAM_COMMAND_ARENA / sizeof(uint64_t)];

    static const exam_json_member_t  text =
        EXAM_JSON_MEMBER(exam_command_members_t, text, EXAM_JSON_STRING,
                         1, EXAM_COMMAND_PAYLOAD_MAX, false);

    static const exam_json_member_t  seconds =
        EXAM_JSON_MEMBER(exam_command_members_t, seconds, EXAM_JSON_INT,
                         -EXAM_COMMAND_EXTRA_MAX, EXAM_COMMAND_EXTRA_MAX,
                         false);

    c->payload = c->request->payload;

    if (c->payload.len == 0) {
        c->payload = exam_str("{}");
    }

    if (c->payload.len > EXAM_COMMAND_PAYLOAD_MAX) {
        return exam_command_refuse(c->result, EXAM_COMMAND_INVALID,
                                   "bad_payload", "the payload is at most %d "
                                   "bytes", EXAM_COMMAND_PAYLOAD_MAX);
    }

    memset(&p, 0, sizeof(exam_command_payload_t));

    p.arena = &arena;
    p.member = (c->type == EXAM_COMMAND_MESSAGE) ? &text
               : (c->type == EXAM_COMMAND_EXTRA_TIME) ? &seconds : NULL;

    exam_arena_init(&arena, memory, sizeof(memory));
    err = exam_json_parse(c->payload, &arena, exam_command_member, &p);

    if (err != EXAM_OK || (p.member != NULL && p.given == 0)) {
        return exam_command_refuse(c->result, EXAM_COMMAND_INVALID,
                   "bad_payload", c->type == EXAM_COMMAND_MESSAGE
                   ? "the payload is {\"text\":\"1 to 1000 characters\"}"
                   : c->type == EXAM_COMMAND_EXTRA_TIME
                   ? "the payload is {\"seconds\":-86400 to 86400, not 0}"
                   : "the payload is a JSON object");
    }

    c->seconds = p.members.seconds;

    return EXAM_COMMAND_OK;
}


static exam_err_e
exam_command_member(void *data, const exam_json_value_t *v)
{
    size_t                   i, n;
    uint32_t                 before;
    exam_err_e               err;
    exam_command_payload_t  *p;

    p = data;

    if (v->depth == 0) {
        return exam_json_top(v);
    }

    if (v->depth != 1 || p->member == NULL) {
        return EXAM_OK;
    }

    before = p->given;
    p->given = 0;

    err = exam_json_take(p->member, 1, v, p->arena, &p->members, &p->given);

    if (err != EXAM_OK || p->given == 0) {
        p->given |= before;
        return err;
    }

    if (p->member->type == EXAM_JSON_INT) {
        return p->members.seconds != 0 ? EXAM_OK : EXAM_ERR_BAD_VALUE;
    }

    for (i = 0, n = 0; i < p->members.text.len; i++) {

        /* bytes that begin a character */

        n += (p->members.text.data[i] & 0xc0) != 0x80;
    }

    return n <= EXAM_COMMAND_MESSAGE_MAX ? EXAM_OK : EXAM_ERR_BAD_VALUE;
}


static bool
exam_command_key(exam_str_t key)
{
    size_t  i;

    for (i = 0; i < key.len; i++) {
        if (key.data[i] < 0x21 || key.data[i] > 0x7e) {
            return false;
        }
    }

    return key.len <= EXAM_COMMAND_KEY_MAX;
}
