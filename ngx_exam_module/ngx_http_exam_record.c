
/*
 * Records that come by the way; see the header.
 *
 * Invariant: between two turns of the event loop no end is noted, so that the
 * notes of a process are never of two shards.
 */


#include "ngx_http_exam_journal.h"
#include "ngx_http_exam_record.h"


#define NGX_HTTP_EXAM_RECORD_ENDS  64   /* noted under one mutex */


typedef struct {
    exam_record_t  record;
    uint8_t        exam[EXAM_EXAM_MAX];
    uint8_t        student[EXAM_STUDENT_MAX];
} ngx_http_exam_record_end_t;


static ngx_http_exam_record_end_t
    ngx_http_exam_record_noted[NGX_HTTP_EXAM_RECORD_ENDS];

ngx_uint_t  ngx_http_exam_record_ends;


void
ngx_http_exam_record_init(exam_record_t *record, exam_record_e type,
    const exam_claims_t *claims)
{
    ngx_memzero(record, sizeof(exam_record_t));

    record->type = type;
    record->at = ngx_http_exam_now();
    record->exam = claims->exam;
    record->student = claims->student;
    record->gen = claims->gen;
    ngx_memcpy(record->sid, claims->sid, EXAM_SID_LEN);
}


void
ngx_http_exam_record_login(const exam_claims_t *claims, int64_t login_at,
    ngx_str_t *ip)
{
    exam_record_t  record;

    ngx_http_exam_record_init(&record, EXAM_RECORD_LOGIN, claims);

    record.login_at = login_at;
    record.ip = exam_str_make(ip->data, ip->len);

    (void) ngx_http_exam_journal(&record, NULL, NULL);
}


void
ngx_http_exam_record_replaced(const exam_claims_t *claims,
    const uint8_t sid[EXAM_SID_LEN])
{
    exam_record_t  record;

    ngx_memzero(&record, sizeof(exam_record_t));

    record.type = EXAM_RECORD_END;
    record.at = ngx_http_exam_now();
    record.exam = claims->exam;
    record.student = claims->student;
    record.ended = EXAM_ENDED_REPLACED;
    ngx_memcpy(record.sid, sid, EXAM_SID_LEN);

    (void) ngx_http_exam_journal(&record, NULL, NULL);
}


void
ngx_http_exam_record_receipt(const exam_manifest_t *m)
{
    exam_record_t  record;

    ngx_memzero(&record, sizeof(exam_record_t));

    record.type = EXAM_RECORD_RECEIPT;
    record.at = m->received_at;
    record.exam = m->exam;
    record.student = m->student;
    record.gen = m->gen;
    record.upload = m->id;
    record.kind = m->kind;
    record.n = m->n;
    record.bytes = m->length;
    ngx_memcpy(record.sid, m->sid, EXAM_SID_LEN);
    ngx_memcpy(record.sha256, m->sha256, EXAM_HASH_LEN);

    (void) ngx_http_exam_journal(&record, NULL, NULL);
}


void
ngx_http_exam_record_end_locked(ngx_http_exam_shard_t *shard,
    const ngx_http_exam_session_t *s)
{
    ngx_http_exam_exam_t        *e;
    ngx_http_exam_record_end_t  *end;

    /* a whole exam that ends: more at a time than there are notes for */

    if (ngx_http_exam_record_ends == NGX_HTTP_EXAM_RECORD_ENDS) {
        ngx_http_exam_record_ended();
    }

    end = &ngx_http_exam_record_noted[ngx_http_exam_record_ends++];
    e = &shard->sh->exams[s->exam];

    ngx_memzero(&end->record, sizeof(exam_record_t));
    ngx_memcpy(end->exam, e->id, e->id_len);
    ngx_memcpy(end->student, s->data, s->student_len);

    end->record.type = EXAM_RECORD_END;
    end->record.at = ngx_http_exam_now();
    end->record.exam = exam_str_make(end->exam, e->id_len);
    end->record.student = exam_str_make(end->student, s->student_len);
    end->record.gen = s->gen;
    end->record.login_at = s->login_at;
    end->record.ended = (exam_ended_e) s->ended;
    ngx_memcpy(end->record.sid, s->sid, EXAM_SID_LEN);
}


void
ngx_http_exam_record_ended(void)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_http_exam_record_ends; i++) {
        (void) ngx_http_exam_journal(&ngx_http_exam_record_noted[i].record,
                                     NULL, NULL);
    }

    ngx_http_exam_record_ends = 0;
}
