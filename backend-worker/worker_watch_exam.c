
/*
 * One exam of the watch.  Its sessions are read whole when the lease was won
 * and every minute; in between the stream `changes` names the students whose
 * session is another now.  Beats are asked for by name, of those only who would
 * be late as far as is known: in an exam that goes well that is each student
 * once in one and a half intervals, and the ended ones never.
 */


#include "worker_watch.h"

#include <stdlib.h>
#include <string.h>


#define WORKER_EXAM_SLOTS  1024         /* at first */
#define WORKER_EXAM_READ   1000         /* entries of `changes`, fields */


typedef struct {
    exam_str_t       sid;
    exam_str_t       node;
    exam_str_t       ended;
    int64_t          login_at;
} worker_session_t;


typedef struct {
    size_t           n;
    worker_seat_t   *seats[WORKER_WATCH_ROWS];
} worker_scores_t;


static bool worker_exam_load(worker_watch_t *t, worker_exam_t *e);
static bool worker_exam_last(worker_watch_t *t, worker_exam_t *e);
static bool worker_exam_follow(worker_watch_t *t, worker_exam_t *e,
    bool *more);
static bool worker_exam_changed(worker_watch_t *t, worker_exam_t *e,
    const redisReply *entries);
static exam_str_t worker_exam_student(const redisReply *fields);
static void worker_exam_session(worker_watch_t *t, worker_exam_t *e,
    exam_str_t student, exam_str_t text);
static worker_seat_t *worker_exam_add(worker_exam_t *e, exam_str_t student);
static bool worker_exam_grow(worker_exam_t *e);
static uint32_t *worker_exam_slot(worker_exam_t *e, exam_str_t student);
static bool worker_exam_scores(worker_watch_t *t, worker_exam_t *e,
    worker_scores_t *s);
static void worker_exam_score(worker_scores_t *s, const redisReply *reply);
static size_t worker_exam_key(const worker_exam_t *e, exam_key_e which,
    char key[EXAM_KEY_MAX]);
static void worker_exam_trim(worker_watch_t *t, worker_exam_t *e);
static void worker_exam_over(worker_watch_t *t, worker_exam_t *e);


#define WORKER_MEMBER(name, type, min, max)                                   \
    EXAM_JSON_MEMBER(worker_session_t, name, type, min, max, false)

static const exam_json_member_t  worker_session_members[] = {
    WORKER_MEMBER(sid, EXAM_JSON_STRING, EXAM_SID_HEX, EXAM_SID_HEX),
    WORKER_MEMBER(node, EXAM_JSON_STRING, 1, EXAM_NODE_MAX),
    WORKER_MEMBER(ended, EXAM_JSON_STRING, 0, 64),
    WORKER_MEMBER(login_at, EXAM_JSON_INT, 0, INT64_MAX)
};

#define WORKER_SESSION_ALL  0x0f


bool
worker_exam_read(worker_watch_t *t, worker_exam_t *e)
{
    char         key[EXAM_KEY_MAX];
    exam_str_t   state;
    redisReply  *reply;

    (void) worker_exam_key(e, EXAM_KEY_EXAM, key);

    if (exam_redis_command(&t->redis, &reply, "HMGET %s state ends_at "
                           "pause_ms paused_at", key)
        != EXAM_REDIS_OK)
    {
        return false;
    }

    state = exam_redis_str(exam_redis_item(reply, 0));

    e->state = exam_state_parse((const char *) state.data, state.len);
    e->ends_at = exam_redis_number(reply, 1, 0);
    e->pause_ms = exam_redis_number(reply, 2, 0);
    e->paused_at = exam_redis_number(reply, 3, 0);

    freeReplyObject(reply);

    return true;
}


bool
worker_exam_live(const worker_exam_t *e)
{
    return e->state == EXAM_STATE_OPEN
           || (e->state == EXAM_STATE_CLOSED
               && (e->ends_at == 0
                   || exam_now_ms() < e->ends_at + e->pause_ms
                                      + WORKER_WATCH_DAY));
}


bool
worker_exam_seats(worker_watch_t *t, worker_exam_t *e)
{
    bool  more;

    if (exam_mono_ms() >= e->load_at) {

        if (!worker_exam_load(t, e)) {
            return false;
        }

        e->load_at = exam_mono_ms() + WORKER_WATCH_RELOAD;
    }

    do {
        if (!worker_exam_follow(t, e, &more)) {
            return false;
        }

    } while (more);

    return true;
}


/* HSCAN -> [cursor, [student, session, ...]] */

static bool
worker_exam_load(worker_watch_t *t, worker_exam_t *e)
{
    char               key[EXAM_KEY_MAX], cursor[WORKER_ENTRY_MAX];
    size_t             i;
    exam_str_t         s;
    redisReply        *reply;
    const redisReply  *fields;

    /* what changes meanwhile is seen twice */

    if (!worker_exam_last(t, e)) {
        return false;
    }

    /* who is not there any more: an emptied Redis hears of him by a flush */

    for (i = 0; i < e->nseats; i++) {
        e->seats[i].active = false;
    }

    (void) worker_exam_key(e, EXAM_KEY_SESSIONS, key);
    strcpy(cursor, "0");

    do {
        if (exam_redis_command(&t->redis, &reply, "HSCAN %s %s COUNT %d", key,
                               cursor, WORKER_EXAM_READ)
            != EXAM_REDIS_OK)
        {
            return false;
        }

        fields = exam_redis_item(reply, 1);

        for (i = 0; fields != NULL && i + 1 < fields->elements; i += 2) {
            worker_exam_session(t, e, exam_redis_str(fields->element[i]),
                                exam_redis_str(fields->element[i + 1]));
        }

        s = exam_redis_str(exam_redis_item(reply, 0));

        if (s.len == 0 || s.len >= sizeof(cursor)) {
            s = exam_str("0");
        }

        snprintf(cursor, sizeof(cursor), "%.*s", (int) s.len,
                 (const char *) s.data);

        freeReplyObject(reply);

    } while (strcmp(cursor, "0") != 0);

    return true;
}


/* XREVRANGE -> [[id, [field, value, ...]]] */

static bool
worker_exam_last(worker_watch_t *t, worker_exam_t *e)
{
    char               key[EXAM_KEY_MAX];
    exam_str_t         id;
    redisReply        *reply;
    const redisReply  *entry;

    (void) worker_exam_key(e, EXAM_KEY_CHANGES, key);

    if (exam_redis_command(&t->redis, &reply, "XREVRANGE %s + - COUNT 1", key)
        != EXAM_REDIS_OK)
    {
        return false;
    }

    id = exam_str("0-0");
    entry = exam_redis_item(reply, 0);

    if (entry != NULL && exam_redis_item(entry, 0) != NULL) {
        id = exam_redis_str(exam_redis_item(entry, 0));
    }

    snprintf(e->last, sizeof(e->last), "%.*s", (int) id.len,
             (const char *) id.data);

    freeReplyObject(reply);

    return true;
}


/* XREAD -> nil, or [[key, [[id, [field, value, ...]], ...]]] */

static bool
worker_exam_follow(worker_watch_t *t, worker_exam_t *e, bool *more)
{
    bool               rc;
    char               key[EXAM_KEY_MAX];
    exam_str_t         id;
    redisReply        *reply;
    const redisReply  *entries, *entry;

    *more = false;

    (void) worker_exam_key(e, EXAM_KEY_CHANGES, key);

    if (exam_redis_command(&t->redis, &reply, "XREAD COUNT %d STREAMS %s %s",
                           WORKER_EXAM_READ, key, e->last)
        != EXAM_REDIS_OK)
    {
        return false;
    }

    rc = true;
    entries = exam_redis_item(reply, 0);
    entries = entries != NULL ? exam_redis_item(entries, 1) : NULL;

    if (entries != NULL && entries->elements != 0) {
        rc = worker_exam_changed(t, e, entries);

        entry = entries->element[entries->elements - 1];
        id = exam_redis_str(exam_redis_item(entry, 0));

        if (rc && id.len != 0 && id.len < sizeof(e->last)) {
            snprintf(e->last, sizeof(e->last), "%.*s", (int) id.len,
                     (const char *) id.data);
            *more = entries->elements == WORKER_EXAM_READ;
        }
    }

    freeReplyObject(reply);

    return rc;
}


/* the sessions of the students that the entries name */

static bool
worker_exam_changed(worker_watch_t *t, worker_exam_t *e,
    const redisReply *entries)
{
    char               key[EXAM_KEY_MAX];
    size_t             i, n;
    exam_str_t         student, args[2 + WORKER_EXAM_READ];
    redisReply        *reply;
    const redisReply  *fields;

    n = 0;

    for (i = 0; i < entries->elements && n < WORKER_EXAM_READ; i++) {
        fields = exam_redis_item(entries->element[i], 1);
        student = fields != NULL ? worker_exam_student(fields) : exam_str("");

        if (exam_id_student(student)) {
            args[2 + n++] = student;
        }
    }

    if (n == 0) {
        return true;
    }

    args[0] = exam_str("HMGET");
    args[1] = exam_str_make(key, worker_exam_key(e, EXAM_KEY_SESSIONS, key));

    if (exam_redis_argv(&t->redis, &reply, n + 2, args) != EXAM_REDIS_OK) {
        return false;
    }

    for (i = 0; i < n && exam_redis_item(reply, i) != NULL; i++) {
        worker_exam_session(t, e, args[2 + i],
                            exam_redis_str(exam_redis_item(reply, i)));
    }

    freeReplyObject(reply);

    return true;
}


/* of an entry of type session, else empty */

static exam_str_t
worker_exam_student(const redisReply *fields)
{
    bool        session;
    size_t      i;
    exam_str_t  name, student;

    session = false;
    student = exam_str("");

    for (i = 0; i + 1 < fields->elements; i += 2) {
        name = exam_redis_str(fields->element[i]);

        if (exam_str_eq(name, exam_str("type"))) {
            session = exam_str_eq(exam_redis_str(fields->element[i + 1]),
                                  exam_str("session"));

        } else if (exam_str_eq(name, exam_str("student"))) {
            student = exam_redis_str(fields->element[i + 1]);
        }
    }

    return session ? student : exam_str("");
}


/* a session as it stands in Redis; another one than before begins online */

static void
worker_exam_session(worker_watch_t *t, worker_exam_t *e, exam_str_t student,
    exam_str_t text)
{
    int                node;
    uint32_t           given;
    uint64_t           memory[WORKER_ARENA / sizeof(uint64_t)];
    exam_arena_t       arena;
    worker_seat_t     *seat;
    worker_session_t   s;

    /* a session of whom no login was heard of since Redis was emptied */

    if (!exam_id_student(student) || text.len == 0) {
        return;
    }

    memset(&s, 0, sizeof(worker_session_t));
    exam_arena_init(&arena, memory, sizeof(memory));

    if (exam_json_object(text, &arena, exam_json_table(worker_session_members),
                         &s, &given)
        != EXAM_OK
        || given != WORKER_SESSION_ALL || !exam_id_node(s.node))
    {
        exam_log(EXAM_LOG_ERROR, "watch", 0, "malformed session in exam "
                 "\"%s\"", e->id);
        return;
    }

    seat = worker_exam_find(e, student);

    if (s.ended.len != 0) {

        if (seat != NULL) {
            seat->active = false;
        }

        return;
    }

    node = worker_node_place(t, s.node);

    if (node == -1) {
        return;
    }

    if (seat == NULL) {
        seat = worker_exam_add(e, student);

        if (seat == NULL) {
            return;
        }
    }

    if (!exam_str_eq(exam_str_make(seat->sid, strlen(seat->sid)), s.sid)) {
        memcpy(seat->sid, s.sid.data, EXAM_SID_HEX);
        seat->sid[EXAM_SID_HEX] = '\0';

        seat->view = WORKER_VIEW_ONLINE;
        seat->unsaved = false;
        seat->seen = 0;
        seat->declared = 0;
    }

    seat->login_at = s.login_at;
    seat->node = (uint16_t) node;
    seat->active = true;
}


worker_seat_t *
worker_exam_find(worker_exam_t *e, exam_str_t student)
{
    uint32_t  *slot;

    if (e->slots == 0) {
        return NULL;
    }

    slot = worker_exam_slot(e, student);

    return *slot != 0 ? &e->seats[*slot - 1] : NULL;
}


static worker_seat_t *
worker_exam_add(worker_exam_t *e, exam_str_t student)
{
    worker_seat_t  *seat;

    if ((e->nseats == e->maxseats || 2 * (e->nseats + 1) > e->slots)
        && !worker_exam_grow(e))
    {
        exam_log(EXAM_LOG_ALERT, "watch", 0, "no memory");
        return NULL;
    }

    seat = &e->seats[e->nseats];
    memset(seat, 0, sizeof(worker_seat_t));
    memcpy(seat->student, student.data, student.len);

    *worker_exam_slot(e, student) = (uint32_t) ++e->nseats;

    return seat;
}


static bool
worker_exam_grow(worker_exam_t *e)
{
    size_t          i, slots;
    uint32_t       *index;
    worker_seat_t  *seats, *seat;

    slots = e->slots != 0 ? 2 * e->slots : WORKER_EXAM_SLOTS;

    seats = realloc(e->seats, slots / 2 * sizeof(worker_seat_t));

    if (seats == NULL) {
        return false;
    }

    e->seats = seats;
    e->maxseats = slots / 2;

    index = calloc(slots, sizeof(uint32_t));

    if (index == NULL) {
        return false;
    }

    free(e->index);
    e->index = index;
    e->slots = slots;

    for (i = 0; i < e->nseats; i++) {
        seat = &e->seats[i];
        *worker_exam_slot(e, exam_str_make(seat->student,
                                           strlen(seat->student)))
            = (uint32_t) i + 1;
    }

    return true;
}


/* the student's, or the free one where it belongs */

static uint32_t *
worker_exam_slot(worker_exam_t *e, exam_str_t student)
{
    size_t          i;
    worker_seat_t  *seat;

    i = exam_id_hash(exam_str_make(e->id, strlen(e->id)), student);

    for ( ;; i++) {
        i &= e->slots - 1;

        if (e->index[i] == 0) {
            return &e->index[i];
        }

        seat = &e->seats[e->index[i] - 1];

        if (exam_str_eq(exam_str_make(seat->student, strlen(seat->student)),
                        student))
        {
            return &e->index[i];
        }
    }
}


void
worker_exam_free(worker_exam_t *e)
{
    free(e->seats);
    free(e->index);

    e->seats = NULL;
    e->index = NULL;
    e->nseats = 0;
    e->maxseats = 0;
    e->slots = 0;
    e->viewed = false;
    e->load_at = 0;
}


bool
worker_exam_seen(worker_watch_t *t, worker_exam_t *e)
{
    size_t           i;
    int64_t          now, last, told;
    worker_seat_t   *seat;
    worker_scores_t  s;

    now = exam_now_ms();
    s.n = 0;

    for (i = 0; i < e->nseats; i++) {
        seat = &e->seats[i];

        if (!seat->active) {
            continue;
        }

        last = seat->seen > seat->login_at ? seat->seen : seat->login_at;
        told = worker_node_told(&t->nodes[seat->node]);

        if (seat->view == WORKER_VIEW_ONLINE && now - last <= t->late_ms
            && told - last <= t->late_ms)
        {
            continue;
        }

        s.seats[s.n++] = seat;

        if (s.n == WORKER_WATCH_ROWS && !worker_exam_scores(t, e, &s)) {
            return false;
        }
    }

    return s.n == 0 || worker_exam_scores(t, e, &s);
}


static bool
worker_exam_scores(worker_watch_t *t, worker_exam_t *e, worker_scores_t *s)
{
    char         key[EXAM_KEY_MAX];
    size_t       i;
    exam_str_t   args[2 + WORKER_WATCH_ROWS];
    redisReply  *reply;

    args[0] = exam_str("ZMSCORE");
    args[1] = exam_str_make(key, worker_exam_key(e, EXAM_KEY_SEEN, key));

    for (i = 0; i < s->n; i++) {
        args[2 + i] = exam_str_make(s->seats[i]->student,
                                    strlen(s->seats[i]->student));
    }

    if (exam_redis_argv(&t->redis, &reply, s->n + 2, args) != EXAM_REDIS_OK) {
        return false;
    }

    worker_exam_score(s, reply);
    freeReplyObject(reply);

    s->n = 0;

    return true;
}


/* scores are whole; one before the login was a beat of another session */

static void
worker_exam_score(worker_scores_t *s, const redisReply *reply)
{
    size_t   i;
    int64_t  seen;

    for (i = 0; i < s->n; i++) {
        seen = exam_redis_number(reply, i, 0);

        if (seen > s->seats[i]->seen && seen >= s->seats[i]->login_at) {
            s->seats[i]->seen = seen;
        }
    }
}


static size_t
worker_exam_key(const worker_exam_t *e, exam_key_e which,
    char key[EXAM_KEY_MAX])
{
    return exam_key(key, which, exam_str_make(e->id, strlen(e->id)),
                    exam_str(""));
}


void
worker_exam_chores(worker_watch_t *t, worker_exam_t *e)
{
    int64_t  now;

    now = exam_mono_ms();

    if (now >= e->trim_at) {
        e->trim_at = now + WORKER_WATCH_TRIM;
        worker_exam_trim(t, e);
    }

    if (e->state == EXAM_STATE_OPEN && e->paused_at == 0 && e->ends_at != 0
        && exam_now_ms() >= e->ends_at + e->pause_ms && now >= e->over_at)
    {
        worker_exam_over(t, e);
    }
}


/* no command lives longer than a day */

static void
worker_exam_trim(worker_watch_t *t, worker_exam_t *e)
{
    char  key[EXAM_KEY_MAX];

    (void) worker_exam_key(e, EXAM_KEY_CONTROL, key);

    if (exam_redis_do(&t->redis, "XTRIM %s MINID %lld", key,
                      (long long) (exam_now_ms() - WORKER_WATCH_DAY))
        == EXAM_REDIS_ERROR)
    {
        exam_log(EXAM_LOG_ERROR, "watch", 0, "cannot trim \"%s\": %s", key,
                 t->redis.error);
    }
}


static void
worker_exam_over(worker_watch_t *t, worker_exam_t *e)
{
    int64_t        ends_at, now;
    exam_change_e  rc;

    if (!worker_watch_db(t)) {
        return;
    }

    now = exam_now_ms();

    rc = exam_change_over(&t->mysql, &t->redis, "exam-worker",
                          exam_str_make(e->id, strlen(e->id)), now, &ends_at);

    /* extra time may be taken away again: it is not slept through */

    e->over_at = exam_mono_ms() + WORKER_WATCH_OVER;

    switch (rc) {

    case EXAM_CHANGE_OK:
    case EXAM_CHANGE_REDIS:
    case EXAM_CHANGE_UNREAD:
        exam_log(EXAM_LOG_NOTICE, "watch", 0, "exam \"%s\" is over: closed",
                 e->id);
        break;

    case EXAM_CHANGE_REFUSED:

        if (ends_at > now && ends_at - now < WORKER_WATCH_OVER) {
            e->over_at = exam_mono_ms() + (ends_at - now);
        }

        break;

    case EXAM_CHANGE_DB:
        worker_watch_db_failed(t);
        break;

    default:
        break;
    }
}
