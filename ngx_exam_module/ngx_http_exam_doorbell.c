
/*
 * Ledger and doorbell of an upload; see the header.
 *
 * Two calls, each with its own reference to the upload; neither waits for the
 * other, and the client waits for none.
 */


#include "ngx_http_exam_doorbell.h"


static void ngx_http_exam_doorbell_settle(ngx_http_exam_upload_t *u);
static void ngx_http_exam_doorbell_settled(void *data, redisReply *reply);
static ngx_int_t ngx_http_exam_doorbell_add(const exam_manifest_t *m,
    ngx_http_exam_redis_pt handler, void *data);
static void ngx_http_exam_doorbell_added(void *data, redisReply *reply);
static void ngx_http_exam_doorbell_found_settled(void *data,
    redisReply *reply);
static void ngx_http_exam_doorbell_found_added(void *data, redisReply *reply);
static ngx_str_t ngx_http_exam_doorbell_str(exam_str_t s);
static ngx_str_t ngx_http_exam_doorbell_int(exam_buf_t *b, int64_t n);
static ngx_str_t ngx_http_exam_doorbell_hex(exam_buf_t *b,
    const uint8_t *data, size_t len);


void
ngx_http_exam_doorbell(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_doorbell_settle(u);

    ngx_http_exam_upload_hold(u);

    if (ngx_http_exam_doorbell_add(&u->writer.manifest,
                                   ngx_http_exam_doorbell_added, u)
        != NGX_OK)
    {
        ngx_http_exam_count(u->mcf, doorbell_errors_total, 1);
        ngx_http_exam_upload_release(u);
    }
}


void
ngx_http_exam_doorbell_found(ngx_http_exam_main_conf_t *mcf,
    const exam_manifest_t *m)
{
    (void) ngx_http_exam_settle(m, "received",
                                ngx_http_exam_doorbell_found_settled, NULL);

    if (ngx_http_exam_doorbell_add(m, ngx_http_exam_doorbell_found_added, mcf)
        != NGX_OK)
    {
        ngx_http_exam_count(mcf, doorbell_errors_total, 1);
    }
}


/* `stored` comes with the next flush */

static void
ngx_http_exam_doorbell_found_settled(void *data, redisReply *reply)
{
    /* void */
}


static void
ngx_http_exam_doorbell_found_added(void *data, redisReply *reply)
{
    ngx_http_exam_main_conf_t *mcf = data;

    if (reply == NULL || reply->type != REDIS_REPLY_STRING) {
        ngx_http_exam_count(mcf, doorbell_errors_total, 1);
    }
}


static void
ngx_http_exam_doorbell_settle(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_upload_hold(u);

    if (ngx_http_exam_settle(&u->writer.manifest, "received",
                             ngx_http_exam_doorbell_settled, u)
        != NGX_OK)
    {
        ngx_http_exam_upload_release(u);
    }
}


ngx_int_t
ngx_http_exam_settle(const exam_manifest_t *m, const char *state,
    ngx_http_exam_redis_pt handler, void *data)
{
    char        seg_key[EXAM_KEY_MAX], stored_key[EXAM_KEY_MAX];
    u_char      memory[256];
    ngx_str_t   argv[11];
    exam_buf_t  b;

    exam_buf_init(&b, memory, sizeof(memory));

    argv[0].data = (u_char *) seg_key;
    argv[0].len = exam_key(seg_key, EXAM_KEY_SEG, m->exam, m->student);
    argv[1].data = (u_char *) stored_key;
    argv[1].len = exam_key(stored_key, EXAM_KEY_STORED, m->exam,
                           exam_str(""));
    argv[2] = ngx_http_exam_doorbell_str(m->student);
    argv[3] = ngx_http_exam_doorbell_hex(&b, m->sid, EXAM_SID_LEN);
    argv[4] = ngx_http_exam_doorbell_str(m->kind);
    argv[5] = ngx_http_exam_doorbell_int(&b, m->n);
    argv[6].data = (u_char *) state;
    argv[6].len = ngx_strlen(state);
    argv[7] = ngx_http_exam_doorbell_str(m->node);
    argv[8] = ngx_http_exam_doorbell_str(m->id);
    ngx_str_set(&argv[9], "-");
    ngx_str_set(&argv[10], "-");

    if (m->length >= 0) {
        argv[9] = ngx_http_exam_doorbell_int(&b, m->length);
    }

    if (m->final) {
        argv[10] = ngx_http_exam_doorbell_hex(&b, m->sha256, EXAM_HASH_LEN);
    }

    return ngx_http_exam_redis_eval(ngx_http_exam_redis, NULL,
                                    EXAM_SCRIPT_SETTLE, 11, argv, handler,
                                    data);
}


/* one row: the value that stands now, a space, the new `stored` number */

static void
ngx_http_exam_doorbell_settled(void *data, redisReply *reply)
{
    ngx_http_exam_upload_t *u = data;

    int               kind;
    char             *space;
    uint64_t          stored;
    redisReply       *row;
    exam_manifest_t  *m;

    m = &u->writer.manifest;

    if (ngx_http_exam_redis_away(reply)) {
        goto done;
    }

    row = (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1)
          ? reply->element[0] : NULL;

    if (row == NULL || row->type != REDIS_REPLY_STRING
        || (space = strrchr(row->str, ' ')) == NULL)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "exam settle of \"%*s\" answered with type %d",
                      m->id.len, m->id.data, reply->type);
        goto done;
    }

    space++;

    kind = exam_kind_find(&u->mcf->kinds, m->kind);

    if (kind >= 0
        && exam_uint_parse((uint8_t *) space, strlen(space), EXAM_SEGMENT_MAX,
                           &stored)
        && u->mcf->zone != NULL)
    {
        ngx_http_exam_zone_stored(u->mcf->zone, m->sid, (ngx_uint_t) kind,
                                  (int32_t) stored);
    }

done:

    ngx_http_exam_upload_release(u);
}


static ngx_int_t
ngx_http_exam_doorbell_add(const exam_manifest_t *m,
    ngx_http_exam_redis_pt handler, void *data)
{
    char        key[EXAM_KEY_MAX];
    u_char      memory[512];
    ngx_str_t   argv[21];
    exam_buf_t  b;

    exam_buf_init(&b, memory, sizeof(memory));

    ngx_str_set(&argv[0], "XADD");
    argv[1].data = (u_char *) key;
    argv[1].len = exam_key_recordings(key, m->node);
    ngx_str_set(&argv[2], "*");
    ngx_str_set(&argv[3], "id");
    argv[4] = ngx_http_exam_doorbell_str(m->id);
    ngx_str_set(&argv[5], "exam");
    argv[6] = ngx_http_exam_doorbell_str(m->exam);
    ngx_str_set(&argv[7], "student");
    argv[8] = ngx_http_exam_doorbell_str(m->student);
    ngx_str_set(&argv[9], "session");
    argv[10] = ngx_http_exam_doorbell_hex(&b, m->sid, EXAM_SID_LEN);
    ngx_str_set(&argv[11], "kind");
    argv[12] = ngx_http_exam_doorbell_str(m->kind);
    ngx_str_set(&argv[13], "n");
    argv[14] = ngx_http_exam_doorbell_int(&b, m->n);
    ngx_str_set(&argv[15], "bytes");
    argv[16] = ngx_http_exam_doorbell_int(&b, m->length);
    ngx_str_set(&argv[17], "sha256");
    argv[18] = ngx_http_exam_doorbell_hex(&b, m->sha256, EXAM_HASH_LEN);
    ngx_str_set(&argv[19], "received_at");
    argv[20] = ngx_http_exam_doorbell_int(&b, m->received_at);

    return ngx_http_exam_redis_command(ngx_http_exam_redis, NULL, 21, argv,
                                       handler, data);
}


static void
ngx_http_exam_doorbell_added(void *data, redisReply *reply)
{
    ngx_http_exam_upload_t *u = data;

    if (reply == NULL || reply->type != REDIS_REPLY_STRING) {
        ngx_http_exam_count(u->mcf, doorbell_errors_total, 1);
    }

    ngx_http_exam_upload_release(u);
}


static ngx_str_t
ngx_http_exam_doorbell_str(exam_str_t s)
{
    ngx_str_t  str;

    str.data = (u_char *) s.data;
    str.len = s.len;

    return str;
}


static ngx_str_t
ngx_http_exam_doorbell_int(exam_buf_t *b, int64_t n)
{
    ngx_str_t  str;

    str.data = b->pos;
    exam_buf_int(b, n);
    str.len = b->pos - str.data;

    return str;
}


static ngx_str_t
ngx_http_exam_doorbell_hex(exam_buf_t *b, const uint8_t *data, size_t len)
{
    ngx_str_t  str;

    str.data = b->pos;
    exam_buf_hex(b, data, len);
    str.len = b->pos - str.data;

    return str;
}
