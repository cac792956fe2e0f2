
/*
 * Who was given a command and who has acknowledged it, told to the journal and
 * to Redis (DESIGN 5, 6).
 *
 * The journal: by the process that answers the heartbeat, right after it; the
 * session's bit is cleared when the record is synced.  Redis: by the holder of
 * the reader's lease, in batches of one command, from a queue of deliveries in
 * each shard; bits are cleared when Redis has answered.  Either may be told
 * twice: what it is told is (command, student).  Event loop only.
 *
 * Invariant: a delivery with bits for Redis stands in its shard's queue or is
 * `reporting`, in a call on the way.
 */


#include "ngx_http_exam_args.h"
#include "ngx_http_exam_command.h"
#include "ngx_http_exam_journal.h"


#define NGX_HTTP_EXAM_REPORT_CALLS    4     /* on the way */
#define NGX_HTTP_EXAM_REPORT_TICK     256   /* calls a tick */
#define NGX_HTTP_EXAM_REPORT_LOOK     1000  /* deliveries a call */
#define NGX_HTTP_EXAM_REPORT_LATE     5     /* s */
#define NGX_HTTP_EXAM_REPORT_LATES    64    /* records a call */


/* a record on its way to the disk */

typedef struct {
    ngx_http_exam_shard_t           *shard;
    ngx_http_exam_command_record_t   record;
    uint8_t                          sid[EXAM_SID_LEN];
} ngx_http_exam_report_record_t;


/* whose it is */

typedef struct {
    uint64_t                         gen;
    uint8_t                          sid[EXAM_SID_LEN];
    uint8_t                          student_len;
    uint8_t                          student[EXAM_STUDENT_MAX];
} ngx_http_exam_report_from_t;


/* what the journal has not been told for long */

typedef struct {
    ngx_http_exam_command_record_t   record;
    ngx_http_exam_report_from_t      from;
    uint8_t                          exam_len;
    uint8_t                          exam[EXAM_EXAM_MAX];
} ngx_http_exam_report_late_t;


/* one command, and the sessions it is told of */

typedef struct {
    ngx_http_exam_shard_t           *shard;
    ngx_uint_t                       resets;    /* of the shard */
    ngx_http_exam_command_record_t   record;
    uint8_t                          exam_len;
    uint8_t                          exam[EXAM_EXAM_MAX];
    ngx_uint_t                       n;
    struct {
        ngx_http_exam_delivery_t    *delivery;  /* as of then */
        uint8_t                      sid[EXAM_SID_LEN];
    } rows[EXAM_ENTRY_STUDENTS];
} ngx_http_exam_report_call_t;


static ngx_int_t ngx_http_exam_report_record(ngx_http_exam_shard_t *shard,
    const ngx_http_exam_command_record_t *record, exam_str_t exam,
    const ngx_http_exam_report_from_t *from);
static void ngx_http_exam_report_written(void *data, ngx_int_t rc);
static void ngx_http_exam_report_more(ngx_http_exam_main_conf_t *mcf);
static ngx_int_t ngx_http_exam_report_shard(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_shard_t *shard);
static void ngx_http_exam_report_collect_locked(
    ngx_http_exam_report_call_t *call, exam_buf_t *students);
static ngx_http_exam_command_t *ngx_http_exam_report_first_locked(
    ngx_http_exam_report_call_t *call);
static ngx_uint_t ngx_http_exam_report_waits_locked(
    const ngx_http_exam_exam_t *e, const ngx_http_exam_delivery_t *d);
static ngx_int_t ngx_http_exam_report_send(ngx_http_exam_main_conf_t *mcf,
    const ngx_http_exam_report_call_t *call, const exam_buf_t *students);
static void ngx_http_exam_report_answer(void *data, redisReply *reply);
static void ngx_http_exam_report_done(ngx_http_exam_report_call_t *call,
    ngx_uint_t told);
static void ngx_http_exam_report_late_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_delivery_t *d);
static void ngx_http_exam_report_late(ngx_http_exam_shard_t *shard);


static const char  *ngx_http_exam_report_ops[] = { "sent", "ack" };

static ngx_uint_t   ngx_http_exam_report_calls;
static ngx_uint_t   ngx_http_exam_report_left;      /* of this tick */
static ngx_uint_t   ngx_http_exam_report_turn;

static ngx_http_exam_report_late_t
    ngx_http_exam_report_lates[NGX_HTTP_EXAM_REPORT_LATES];
static ngx_uint_t   ngx_http_exam_report_nlate;


void
ngx_http_exam_report_journal(const ngx_http_exam_command_beat_t *beat)
{
    ngx_uint_t                    i;
    ngx_http_exam_report_from_t   from;

    from.gen = beat->gen;
    ngx_memcpy(from.sid, beat->sid, EXAM_SID_LEN);
    from.student_len = beat->student_len;
    ngx_memcpy(from.student, beat->student, beat->student_len);

    for (i = 0; i < beat->n; i++) {

        if (ngx_http_exam_report_record(beat->shard, &beat->records[i],
                                        exam_str_make(beat->exam,
                                                      beat->exam_len), &from)
            != NGX_OK)
        {
            return;
        }
    }
}


/* what is not taken is told by the session's next beat */

static ngx_int_t
ngx_http_exam_report_record(ngx_http_exam_shard_t *shard,
    const ngx_http_exam_command_record_t *record, exam_str_t exam,
    const ngx_http_exam_report_from_t *from)
{
    exam_record_t                   r;
    ngx_http_exam_report_record_t  *data;

    data = ngx_alloc(sizeof(ngx_http_exam_report_record_t), ngx_cycle->log);
    if (data == NULL) {
        return NGX_ERROR;
    }

    data->shard = shard;
    data->record = *record;
    ngx_memcpy(data->sid, from->sid, EXAM_SID_LEN);

    ngx_memzero(&r, sizeof(exam_record_t));

    r.type = record->report == NGX_HTTP_EXAM_REPORT_ACK
             ? EXAM_RECORD_ACK : EXAM_RECORD_SENT;
    r.at = ngx_http_exam_now();
    r.exam = exam;
    r.student = exam_str_make(from->student, from->student_len);
    ngx_memcpy(r.sid, from->sid, EXAM_SID_LEN);
    r.gen = from->gen;
    r.command = record->id;

    if (ngx_http_exam_journal(&r, ngx_http_exam_report_written, data)
        != NGX_OK)
    {
        ngx_free(data);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_exam_report_written(void *data, ngx_int_t rc)
{
    ngx_http_exam_report_record_t *written = data;

    ngx_http_exam_exam_t            *e;
    ngx_http_exam_shard_t           *shard;
    ngx_http_exam_session_t         *s;
    ngx_http_exam_command_t         *c;
    ngx_http_exam_command_record_t  *record;

    record = &written->record;
    shard = written->shard;

    if (rc == NGX_OK) {

        ngx_http_exam_shard_lock(shard);

        s = ngx_http_exam_find_locked(shard, written->sid);

        if (s != NULL && s->delivery != NULL) {
            e = &shard->sh->exams[s->exam];
            c = ngx_http_exam_command_locked(e, record->id);

            if (c != NULL) {
                ngx_http_exam_bit_clear(&s->delivery->journal[record->report],
                                        c->bit);
            }
        }

        ngx_http_exam_shard_unlock(shard);
    }

    ngx_free(written);
}


void
ngx_http_exam_report_queue_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_delivery_t *d)
{
    if (d->queued || d->reporting) {
        return;
    }

    d->queued = 1;
    d->queued_at = (uint32_t) ngx_time();
    d->next = NULL;

    *shard->sh->reports_tail = d;
    shard->sh->reports_tail = &d->next;
}


/* what a holder before us had on the way is not known: all is told */

void
ngx_http_exam_report_begin(ngx_http_exam_main_conf_t *mcf)
{
    ngx_uint_t                 i, j;
    ngx_http_exam_shard_t     *shard;
    ngx_http_exam_objects_t   *o;
    ngx_http_exam_delivery_t  *d;

    for (i = 0; i < mcf->zone->n; i++) {
        shard = &mcf->zone->shards[i];

        ngx_http_exam_shard_lock(shard);

        shard->sh->reports_head = NULL;
        shard->sh->reports_tail = &shard->sh->reports_head;

        o = &shard->sh->deliveries;

        for (j = 0; j < o->used; j++) {
            d = (ngx_http_exam_delivery_t *) (o->start + o->size * j);

            if (d->session == NULL) {
                continue;
            }

            d->queued = 0;
            d->reporting = 0;

            if (ngx_http_exam_bits_any(&d->redis[NGX_HTTP_EXAM_REPORT_SENT])
                || ngx_http_exam_bits_any(&d->redis[NGX_HTTP_EXAM_REPORT_ACK]))
            {
                ngx_http_exam_report_queue_locked(shard, d);
            }
        }

        ngx_http_exam_shard_unlock(shard);
    }
}


void
ngx_http_exam_report_again_locked(ngx_http_exam_shard_t *shard)
{
    ngx_uint_t                 i;
    ngx_http_exam_objects_t   *o;
    ngx_http_exam_delivery_t  *d;

    o = &shard->sh->deliveries;

    for (i = 0; i < o->used; i++) {
        d = (ngx_http_exam_delivery_t *) (o->start + o->size * i);

        if (d->session != NULL && ngx_http_exam_bits_any(&d->acked)) {
            ngx_http_exam_bits_add(&d->redis[NGX_HTTP_EXAM_REPORT_ACK],
                                   &d->acked);
            ngx_http_exam_report_queue_locked(shard, d);
        }
    }
}


void
ngx_http_exam_report_tick(ngx_http_exam_main_conf_t *mcf)
{
    ngx_http_exam_report_left = NGX_HTTP_EXAM_REPORT_TICK;

    ngx_http_exam_report_more(mcf);
}


static void
ngx_http_exam_report_more(ngx_http_exam_main_conf_t *mcf)
{
    ngx_uint_t              idle;
    ngx_http_exam_shard_t  *shard;

    idle = 0;

    while (idle < mcf->zone->n && ngx_http_exam_report_left
           && ngx_http_exam_report_calls < NGX_HTTP_EXAM_REPORT_CALLS)
    {
        shard = &mcf->zone->shards[ngx_http_exam_report_turn++ % mcf->zone->n];

        if (shard->sh->reports_head != NULL
            && ngx_http_exam_report_shard(mcf, shard) == NGX_OK)
        {
            idle = 0;

        } else {
            idle++;
        }
    }
}


/* NGX_OK: a call is on the way; NGX_DECLINED: nothing to tell or no way */

static ngx_int_t
ngx_http_exam_report_shard(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_shard_t *shard)
{
    exam_buf_t                    students;
    ngx_http_exam_report_call_t  *call;

    static u_char  memory[EXAM_ENTRY_STUDENTS * (EXAM_STUDENT_MAX + 1)];

    /* outlives this function; freed when answered, lost or declined */

    call = ngx_alloc(sizeof(ngx_http_exam_report_call_t), ngx_cycle->log);
    if (call == NULL) {
        return NGX_DECLINED;
    }

    call->shard = shard;
    call->n = 0;

    exam_buf_init(&students, memory, sizeof(memory));

    ngx_http_exam_shard_lock(shard);
    call->resets = shard->sh->resets;
    ngx_http_exam_report_collect_locked(call, &students);
    ngx_http_exam_shard_unlock(shard);

    ngx_http_exam_report_late(shard);

    if (call->n == 0) {
        ngx_free(call);
        return NGX_DECLINED;
    }

    if (ngx_http_exam_report_send(mcf, call, &students) != NGX_OK) {
        ngx_http_exam_report_left = 0;
        ngx_http_exam_report_done(call, 0);
        ngx_free(call);
        return NGX_DECLINED;
    }

    ngx_http_exam_report_left--;
    ngx_http_exam_report_calls++;

    return NGX_OK;
}


/* the first thing that the queue has to tell, and all who tell the same */

static void
ngx_http_exam_report_collect_locked(ngx_http_exam_report_call_t *call,
    exam_buf_t *students)
{
    ngx_uint_t                  look;
    ngx_http_exam_command_t    *c;
    ngx_http_exam_session_t    *s;
    ngx_http_exam_delivery_t   *d, **p;
    ngx_http_exam_shard_sh_t   *sh;

    c = ngx_http_exam_report_first_locked(call);
    if (c == NULL) {
        return;
    }

    sh = call->shard->sh;
    p = &sh->reports_head;
    look = NGX_HTTP_EXAM_REPORT_LOOK;

    while ((d = *p) != NULL && look-- && call->n < EXAM_ENTRY_STUDENTS) {
        s = d->session;

        if (sh->exams[s->exam].id_len != call->exam_len
            || ngx_memcmp(sh->exams[s->exam].id, call->exam, call->exam_len)
               != 0
            || !ngx_http_exam_bit(&d->redis[call->record.report], c->bit)
            || ngx_http_exam_bit(&d->journal[call->record.report], c->bit))
        {
            p = &d->next;
            continue;
        }

        *p = d->next;

        if (d->next == NULL) {
            sh->reports_tail = p;
        }

        d->queued = 0;
        d->reporting = 1;

        call->rows[call->n].delivery = d;
        ngx_memcpy(call->rows[call->n].sid, s->sid, EXAM_SID_LEN);

        if (call->n++) {
            exam_buf_char(students, ' ');
        }

        exam_buf_put(students, s->data, s->student_len);
    }
}


/*
 * The first thing to tell that stands in the journal: Redis must not know of an
 * acknowledgement that a crash can take away, or nobody would ask for it again.
 * Deliveries that have nothing to tell (any more) leave the queue.
 */

static ngx_http_exam_command_t *
ngx_http_exam_report_first_locked(ngx_http_exam_report_call_t *call)
{
    ngx_uint_t                  report, look;
    ngx_http_exam_exam_t       *e;
    ngx_http_exam_command_t    *c;
    ngx_http_exam_delivery_t   *d, **p;
    ngx_http_exam_shard_sh_t   *sh;

    sh = call->shard->sh;
    p = &sh->reports_head;
    look = NGX_HTTP_EXAM_REPORT_LOOK;

    while ((d = *p) != NULL && look--) {
        e = &sh->exams[d->session->exam];

        for (c = e->commands; c; c = c->next) {

            for (report = 0; report < NGX_HTTP_EXAM_REPORTS; report++) {

                if (ngx_http_exam_bit(&d->redis[report], c->bit)
                    && !ngx_http_exam_bit(&d->journal[report], c->bit))
                {
                    call->exam_len = e->id_len;
                    ngx_memcpy(call->exam, e->id, e->id_len);
                    call->record.id = c->id;
                    call->record.report = report;
                    return c;
                }
            }
        }

        if (ngx_http_exam_report_waits_locked(e, d)) {
            ngx_http_exam_report_late_locked(call->shard, d);
            p = &d->next;
            continue;
        }

        *p = d->next;
        d->queued = 0;

        if (d->next == NULL) {
            sh->reports_tail = p;
        }
    }

    return NULL;
}


/* 1: something of a command that is still here is on its way to the journal */

static ngx_uint_t
ngx_http_exam_report_waits_locked(const ngx_http_exam_exam_t *e,
    const ngx_http_exam_delivery_t *d)
{
    const ngx_http_exam_command_t  *c;

    for (c = e->commands; c; c = c->next) {
        if (ngx_http_exam_bit(&d->journal[NGX_HTTP_EXAM_REPORT_SENT], c->bit)
            || ngx_http_exam_bit(&d->journal[NGX_HTTP_EXAM_REPORT_ACK],
                                 c->bit))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * What a killed process did not write is written at the session's next beat,
 * but there may be none: here, after some time.
 */

static void
ngx_http_exam_report_late_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_delivery_t *d)
{
    ngx_uint_t                     report;
    ngx_http_exam_exam_t          *e;
    ngx_http_exam_session_t       *s;
    ngx_http_exam_command_t       *c;
    ngx_http_exam_report_late_t   *late;

    if ((uint32_t) ngx_time() - d->queued_at < NGX_HTTP_EXAM_REPORT_LATE) {
        return;
    }

    s = d->session;
    e = &shard->sh->exams[s->exam];
    d->queued_at = (uint32_t) ngx_time();

    for (c = e->commands; c; c = c->next) {

        for (report = 0; report < NGX_HTTP_EXAM_REPORTS; report++) {

            if (!ngx_http_exam_bit(&d->journal[report], c->bit)
                || ngx_http_exam_report_nlate == NGX_HTTP_EXAM_REPORT_LATES)
            {
                continue;
            }

            late = &ngx_http_exam_report_lates[ngx_http_exam_report_nlate++];

            late->record.id = c->id;
            late->record.report = report;
            late->exam_len = e->id_len;
            ngx_memcpy(late->exam, e->id, e->id_len);
            late->from.gen = s->gen;
            ngx_memcpy(late->from.sid, s->sid, EXAM_SID_LEN);
            late->from.student_len = s->student_len;
            ngx_memcpy(late->from.student, s->data, s->student_len);
        }
    }
}


static void
ngx_http_exam_report_late(ngx_http_exam_shard_t *shard)
{
    ngx_uint_t                    i;
    ngx_http_exam_report_late_t  *late;

    for (i = 0; i < ngx_http_exam_report_nlate; i++) {
        late = &ngx_http_exam_report_lates[i];

        (void) ngx_http_exam_report_record(shard, &late->record,
                                           exam_str_make(late->exam,
                                                         late->exam_len),
                                           &late->from);
    }

    ngx_http_exam_report_nlate = 0;
}


/* a stream that is gone is not begun here: who refills Redis writes it */

static ngx_int_t
ngx_http_exam_report_send(ngx_http_exam_main_conf_t *mcf,
    const ngx_http_exam_report_call_t *call, const exam_buf_t *students)
{
    const char            *op;
    ngx_http_exam_args_t   args;

    op = ngx_http_exam_report_ops[call->record.report];

    ngx_http_exam_args_init(&args);
    ngx_http_exam_args_lit(&args, "XADD");
    ngx_http_exam_args_key(&args, EXAM_KEY_CONTROL,
                           exam_str_make(call->exam, call->exam_len),
                           exam_str(""));
    ngx_http_exam_args_lit(&args, "NOMKSTREAM");
    ngx_http_exam_args_lit(&args, "*");
    ngx_http_exam_args_lit(&args, "op");
    ngx_http_exam_args_word(&args, op, ngx_strlen(op));
    ngx_http_exam_args_lit(&args, "id");
    ngx_http_exam_args_number(&args, call->record.id);
    ngx_http_exam_args_lit(&args, "node");
    ngx_http_exam_args_word(&args, mcf->node.data, mcf->node.len);
    ngx_http_exam_args_lit(&args, "students");
    ngx_http_exam_args_word(&args, students->start, exam_buf_len(students));

    return ngx_http_exam_redis_command(ngx_http_exam_redis, NULL, args.n,
                                       args.argv, ngx_http_exam_report_answer,
                                       (void *) call);
}


static void
ngx_http_exam_report_answer(void *data, redisReply *reply)
{
    ngx_http_exam_report_call_t *call = data;

    ngx_uint_t                  told;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_exam_module);

    ngx_http_exam_report_calls--;

    told = !ngx_http_exam_redis_away(reply)
           && reply->type == REDIS_REPLY_STRING;

    ngx_http_exam_report_done(call, told);
    ngx_free(call);

    if (!told) {
        ngx_http_exam_report_left = 0;
        return;
    }

    ngx_http_exam_report_more(mcf);
}


/* told: the bits are cleared; who has more to tell, or again, is queued */

static void
ngx_http_exam_report_done(ngx_http_exam_report_call_t *call, ngx_uint_t told)
{
    ngx_uint_t                  i, report;
    ngx_http_exam_shard_t      *shard;
    ngx_http_exam_command_t    *c;
    ngx_http_exam_delivery_t   *d;
    ngx_http_exam_shard_sh_t   *sh;

    shard = call->shard;
    sh = shard->sh;
    report = call->record.report;

    ngx_http_exam_shard_lock(shard);

    for (i = 0; i < call->n && sh->resets == call->resets; i++) {
        d = call->rows[i].delivery;

        if (d->session == NULL || !d->reporting
            || ngx_memcmp(d->session->sid, call->rows[i].sid, EXAM_SID_LEN)
               != 0)
        {
            continue;
        }

        d->reporting = 0;

        c = ngx_http_exam_command_locked(&sh->exams[d->session->exam],
                                         call->record.id);

        if (told && c != NULL) {
            ngx_http_exam_bit_clear(&d->redis[report], c->bit);
        }

        if (ngx_http_exam_bits_any(&d->redis[NGX_HTTP_EXAM_REPORT_SENT])
            || ngx_http_exam_bits_any(&d->redis[NGX_HTTP_EXAM_REPORT_ACK]))
        {
            ngx_http_exam_report_queue_locked(shard, d);
        }
    }

    ngx_http_exam_shard_unlock(shard);
}
