
/*
 * The endpoint `exam recordings`: /api/v1/recordings/{kind}/{n} (DESIGN 3.1).
 *
 * Here: the path, the arguments, whose session it is; GET goes on in
 * ngx_http_exam_look.c, PUT in ngx_http_exam_put.c, POST .../lost in
 * ngx_http_exam_lost.c, POST of a form in ngx_http_exam_form.c.  Runs on the
 * event loop.  Everything that can be refused is refused before the body is
 * asked for.
 */


#include "ngx_http_exam_recordings.h"


#define NGX_HTTP_EXAM_RECORDINGS_PREFIX  "/api/v1/recordings/"
#define NGX_HTTP_EXAM_LEDGER_BEFORE      1000    /* numbers a question */
#define NGX_HTTP_EXAM_LEDGER_FIELD       (EXAM_SID_HEX + EXAM_KIND_MAX + 8)


static ngx_int_t ngx_http_exam_recordings_path(ngx_http_request_t *r,
    exam_str_t *kind, exam_str_t *n, ngx_uint_t *lost);
static exam_err_e ngx_http_exam_recordings_segment(ngx_http_request_t *r,
    ngx_http_exam_ctx_t *ctx, exam_str_t kind, exam_str_t n,
    ngx_http_exam_segment_t *seg);
static void ngx_http_exam_recordings_other(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg);
static ngx_int_t ngx_http_exam_recordings_local(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg);
static void ngx_http_exam_recordings_ask(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg, exam_key_e key,
    ngx_http_exam_redis_pt handler);
static void ngx_http_exam_recordings_issued(void *data, redisReply *reply);
static void ngx_http_exam_recordings_latest(void *data, redisReply *reply);
static uint64_t ngx_http_exam_recordings_gen(const char *json);
static void ngx_http_exam_recordings_go(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg);
static void ngx_http_exam_ledger_told(void *data, redisReply *reply);


ngx_int_t
ngx_http_exam_recordings_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    exam_err_e                  err;
    exam_str_t                  kind, n;
    ngx_uint_t                  lost, look;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_segment_t    *seg;
    ngx_http_exam_main_conf_t  *mcf;

    if (r->uri.len == sizeof(NGX_HTTP_EXAM_RECORDINGS_PREFIX) - 2
        && ngx_memcmp(r->uri.data, NGX_HTTP_EXAM_RECORDINGS_PREFIX,
                      r->uri.len)
           == 0)
    {
        return ngx_http_exam_form_handler(r);
    }

    mcf = ngx_http_exam_main_conf(r);
    ctx = ngx_http_exam_ctx(r);
    seg = ngx_pcalloc(r->pool, sizeof(ngx_http_exam_segment_t));

    if (ctx == NULL || seg == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_exam_recordings_path(r, &kind, &n, &lost) != NGX_OK) {
        return ngx_http_exam_problem(r, EXAM_ERR_NOT_FOUND, NULL);
    }

    if (lost && r->method != NGX_HTTP_POST) {
        return ngx_http_exam_not_allowed(r, "POST");
    }

    if (!lost && !(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_PUT))) {
        return ngx_http_exam_not_allowed(r, "GET, HEAD, PUT");
    }

    look = !(r->method & (NGX_HTTP_PUT|NGX_HTTP_POST));

    err = ngx_http_exam_session(r, ctx, look ? EXAM_ACTION_LOOK
                                             : EXAM_ACTION_UPLOAD);

    if (err == EXAM_OK && look
        && ngx_http_exam_zone_poll(mcf->zone, ctx->claims.sid, &mcf->poll_rate)
           != NGX_OK)
    {
        err = EXAM_ERR_RATE_LIMITED;
    }

    if (err == EXAM_OK) {
        err = ngx_http_exam_recordings_segment(r, ctx, kind, n, seg);
    }

    if (err != EXAM_OK) {
        return ngx_http_exam_problem(r, err, NULL);
    }

    ctx->data = seg;

    if (lost) {
        return ngx_http_exam_lost(r);
    }

    if (look) {
        rc = ngx_http_exam_drop_body(r);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    r->main->count++;

    ngx_http_exam_recordings_start(r);

    return NGX_DONE;
}


void
ngx_http_exam_recordings_start(ngx_http_request_t *r)
{
    ngx_http_exam_ctx_t      *ctx;
    ngx_http_exam_segment_t  *seg;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    seg = ctx->data;

    if (seg->own) {
        ngx_http_exam_recordings_go(r, seg);
        return;
    }

    ngx_http_exam_recordings_other(r, seg);
}


/* two parts behind the prefix, or `lost` as a third one */

static ngx_int_t
ngx_http_exam_recordings_path(ngx_http_request_t *r, exam_str_t *kind,
    exam_str_t *n, ngx_uint_t *lost)
{
    u_char  *p, *last, *slash, *end;
    size_t   len;

    len = sizeof(NGX_HTTP_EXAM_RECORDINGS_PREFIX) - 1;

    if (r->uri.len < len
        || ngx_memcmp(r->uri.data, NGX_HTTP_EXAM_RECORDINGS_PREFIX, len) != 0)
    {
        return NGX_DECLINED;
    }

    p = r->uri.data + len;
    last = r->uri.data + r->uri.len;

    slash = ngx_strlchr(p, last, '/');

    if (slash == NULL) {
        return NGX_DECLINED;
    }

    end = ngx_strlchr(slash + 1, last, '/');

    *lost = (end != NULL);

    if (end == NULL) {
        end = last;

    } else if (!exam_str_eq(exam_str_make(end, last - end),
                            exam_str("/lost")))
    {
        return NGX_DECLINED;
    }

    *kind = exam_str_make(p, slash - p);
    *n = exam_str_make(slash + 1, end - slash - 1);

    return NGX_OK;
}


static exam_err_e
ngx_http_exam_recordings_segment(ngx_http_request_t *r,
    ngx_http_exam_ctx_t *ctx, exam_str_t kind, exam_str_t n,
    ngx_http_exam_segment_t *seg)
{
    int                         i;
    exam_err_e                  err;
    ngx_http_exam_main_conf_t  *mcf;

    static ngx_str_t  started_at = ngx_string("started_at");
    static ngx_str_t  duration_ms = ngx_string("duration_ms");
    static ngx_str_t  wait_s = ngx_string("wait_s");

    mcf = ngx_http_exam_main_conf(r);

    i = exam_kind_find(&mcf->kinds, kind);

    /* an attachment may be looked at; its number was given by the server */

    if (exam_str_eq(kind, exam_str("file"))
        && (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)))
    {
        i = EXAM_KIND_FILE;
    }

    if (i < 0) {
        return ngx_http_exam_recordings_kind(r, r->method != NGX_HTTP_PUT
                                                && r->method
                                                   != NGX_HTTP_POST);
    }

    if (!exam_id_segment(n, &seg->n)) {
        return ngx_http_exam_tell(r, EXAM_ERR_NOT_FOUND,
                                  NGX_HTTP_EXAM_TELL_N);
    }

    seg->exam = ctx->claims.exam;
    seg->student = ctx->claims.student;
    seg->kind = (ngx_uint_t) i;
    seg->kind_name = (i == EXAM_KIND_FILE) ? exam_str("file")
                                           : mcf->kinds.name[i];

    err = ngx_http_exam_recordings_number(r, &started_at, EXAM_SEQ_MAX,
                                          &seg->started_at);
    if (err != EXAM_OK) {
        return err;
    }

    err = ngx_http_exam_recordings_number(r, &duration_ms, EXAM_SEQ_MAX,
                                          &seg->duration_ms);
    if (err != EXAM_OK) {
        return err;
    }

    err = ngx_http_exam_recordings_number(r, &wait_s, NGX_HTTP_EXAM_WAIT_MAX,
                                          &seg->wait_s);
    if (err != EXAM_OK) {
        return err;
    }

    return ngx_http_exam_recordings_session(r, ctx, seg);
}


exam_err_e
ngx_http_exam_recordings_kind(ngx_http_request_t *r, ngx_uint_t file)
{
    u_char                      names[EXAM_KINDS_MAX * (EXAM_KIND_MAX + 2)];
    ngx_uint_t                  i;
    exam_buf_t                  b;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);

    exam_buf_init(&b, names, sizeof(names));

    for (i = 0; i < mcf->kinds.n; i++) {
        if (i > 0) {
            exam_buf_lit(&b, ", ");
        }

        exam_buf_put(&b, mcf->kinds.name[i].data, mcf->kinds.name[i].len);
    }

    return ngx_http_exam_tell(r, EXAM_ERR_NOT_FOUND, "kind is one of %*s%s",
                              exam_buf_len(&b), names, file ? ", file" : "");
}


exam_err_e
ngx_http_exam_recordings_number(ngx_http_request_t *r, ngx_str_t *name,
    uint64_t max, int64_t *value)
{
    uint64_t   number;
    ngx_str_t  arg;

    *value = -1;

    if (ngx_http_arg(r, name->data, name->len, &arg) != NGX_OK) {
        return EXAM_OK;
    }

    if (!exam_uint_parse(arg.data, arg.len, max, &number)) {
        return ngx_http_exam_tell(r, EXAM_ERR_BAD_ARGUMENT,
                                  NGX_HTTP_EXAM_TELL_NUMBER, name->data, max);
    }

    *value = (int64_t) number;

    return EXAM_OK;
}


/* an id names its student by its first bytes: no other's can be meant */

exam_err_e
ngx_http_exam_recordings_session(ngx_http_request_t *r,
    ngx_http_exam_ctx_t *ctx, ngx_http_exam_segment_t *seg)
{
    ngx_str_t  arg;

    seg->own = 1;
    seg->gen = ctx->claims.gen;
    ngx_memcpy(seg->sid, ctx->claims.sid, EXAM_SID_LEN);

    if (ngx_http_arg(r, (u_char *) "session", 7, &arg) != NGX_OK) {
        return EXAM_OK;
    }

    if (!exam_sid_parse(exam_str_make(arg.data, arg.len), seg->sid)) {
        return ngx_http_exam_tell(r, EXAM_ERR_BAD_ARGUMENT,
                                  NGX_HTTP_EXAM_TELL_SESSION);
    }

    if (exam_sid_hash(seg->sid) != exam_id_hash(seg->exam, seg->student)) {
        return EXAM_ERR_NOT_FOUND;
    }

    if (ngx_memcmp(seg->sid, ctx->claims.sid, EXAM_SID_LEN) != 0) {
        seg->own = 0;
        seg->gen = 0;
    }

    return EXAM_OK;
}


/* may it be written to, and read? */

static void
ngx_http_exam_recordings_other(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg)
{
    switch (ngx_http_exam_recordings_local(r, seg)) {

    case NGX_OK:
        ngx_http_exam_recordings_go(r, seg);
        return;

    case NGX_BUSY:
        ngx_http_exam_recordings_problem(r, EXAM_ERR_FORBIDDEN);
        return;

    case NGX_ABORT:
        ngx_http_exam_recordings_problem(r, EXAM_ERR_NOT_FOUND);
        return;

    default: /* NGX_DECLINED */
        ngx_http_exam_recordings_ask(r, seg, EXAM_KEY_STORED,
                                     ngx_http_exam_recordings_issued);
        return;
    }
}


/*
 * Another session, as the zone has it: NGX_BUSY, not ended; NGX_ABORT, of a
 * student whose hash is the same by chance; NGX_DECLINED, not in the zone.
 */

static ngx_int_t
ngx_http_exam_recordings_local(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg)
{
    ngx_int_t                 rc;
    exam_str_t                exam, student;
    ngx_http_exam_ctx_t      *ctx;
    ngx_http_exam_exam_t     *e;
    ngx_http_exam_shard_t    *shard;
    ngx_http_exam_session_t  *s;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    shard = ngx_http_exam_zone_shard(ngx_http_exam_main_conf(r)->zone,
                                     seg->sid);

    ngx_http_exam_shard_lock(shard);

    s = ngx_http_exam_find_locked(shard, seg->sid);

    if (s == NULL) {
        rc = NGX_DECLINED;
        goto done;
    }

    e = &shard->sh->exams[s->exam];

    exam = exam_str_make(e->id, e->id_len);
    student = exam_str_make(s->data, s->student_len);

    if (!exam_str_eq(exam, seg->exam) || !exam_str_eq(student, seg->student)) {
        rc = NGX_ABORT;
        goto done;
    }

    seg->gen = s->gen;

    /* one below the token's was replaced, though nobody has told this node */

    rc = (s->ended == EXAM_ENDED_NO && s->gen > ctx->claims.gen) ? NGX_BUSY
                                                                 : NGX_OK;

done:

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


/*
 * Not in the zone.  The login has written `stored` for each session that it
 * gave out, and `sessions` holds the student's latest one.
 */

static void
ngx_http_exam_recordings_ask(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg, exam_key_e what,
    ngx_http_exam_redis_pt handler)
{
    char        key[EXAM_KEY_MAX];
    u_char      field[EXAM_STUDENT_MAX + EXAM_SID_HEX + EXAM_KIND_MAX + 2];
    ngx_str_t   argv[3];
    exam_buf_t  b;
    exam_str_t  kind;

    kind = (seg->kind == EXAM_KIND_FILE)
           ? ngx_http_exam_main_conf(r)->kinds.name[0] : seg->kind_name;

    exam_buf_init(&b, field, sizeof(field));
    exam_buf_put(&b, seg->student.data, seg->student.len);

    if (what == EXAM_KEY_STORED) {
        exam_buf_char(&b, ':');
        exam_buf_hex(&b, seg->sid, EXAM_SID_LEN);
        exam_buf_char(&b, ':');

        /* of each kind there is one: see the login's script */

        exam_buf_put(&b, kind.data, kind.len);
    }

    ngx_str_set(&argv[0], "HGET");
    argv[1].data = (u_char *) key;
    argv[1].len = exam_key(key, what, seg->exam, exam_str(""));
    argv[2].data = field;
    argv[2].len = exam_buf_len(&b);

    if (ngx_http_exam_redis_command(ngx_http_exam_redis, r->pool, 3, argv,
                                    handler, r)
        != NGX_OK)
    {
        ngx_http_exam_recordings_problem(r, EXAM_ERR_REDIS_UNAVAILABLE);
    }
}


static void
ngx_http_exam_recordings_issued(void *data, redisReply *reply)
{
    ngx_http_request_t *r = data;

    ngx_connection_t         *c;
    ngx_http_exam_ctx_t      *ctx;
    ngx_http_exam_segment_t  *seg;

    c = r->connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    seg = ctx->data;

    ngx_http_set_log_request(c->log, r);

    if (ngx_http_exam_redis_away(reply)) {
        ngx_http_exam_recordings_problem(r, EXAM_ERR_REDIS_UNAVAILABLE);

    } else if (reply->type != REDIS_REPLY_STRING) {
        ngx_http_exam_recordings_problem(r, EXAM_ERR_NOT_FOUND);

    } else {
        ngx_http_exam_recordings_ask(r, seg, EXAM_KEY_SESSIONS,
                                     ngx_http_exam_recordings_latest);
    }

    ngx_http_run_posted_requests(c);
}


/* all but the latest have ended; that one has when its record says so */

static void
ngx_http_exam_recordings_latest(void *data, redisReply *reply)
{
    ngx_http_request_t *r = data;

    u_char                    sid[EXAM_SID_HEX + 1], *p;
    ngx_connection_t         *c;
    ngx_http_exam_ctx_t      *ctx;
    ngx_http_exam_segment_t  *seg;

    c = r->connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    seg = ctx->data;

    ngx_http_set_log_request(c->log, r);

    p = ngx_hex_dump(sid, seg->sid, EXAM_SID_LEN);
    *p = '\0';

    if (ngx_http_exam_redis_away(reply)) {
        ngx_http_exam_recordings_problem(r, EXAM_ERR_REDIS_UNAVAILABLE);

    } else if (reply->type == REDIS_REPLY_STRING
               && ngx_strstr(reply->str, sid) != NULL
               && ngx_strstr(reply->str, "\"ended\":\"\"") != NULL
               && ngx_http_exam_recordings_gen(reply->str) > ctx->claims.gen)
    {
        ngx_http_exam_recordings_problem(r, EXAM_ERR_FORBIDDEN);

    } else {
        ngx_http_exam_recordings_go(r, seg);
    }

    ngx_http_run_posted_requests(c);
}


/* of a session as Redis has it; none that can be read: the highest */

static uint64_t
ngx_http_exam_recordings_gen(const char *json)
{
    char      *p;
    size_t     len;
    uint64_t   gen;

    p = ngx_strstr(json, "\"gen\":");

    if (p == NULL) {
        return UINT64_MAX;
    }

    p += sizeof("\"gen\":") - 1;
    p += strspn(p, " ");
    len = strspn(p, "0123456789");

    return exam_uint_parse((uint8_t *) p, len, EXAM_SEQ_MAX, &gen)
           ? gen : UINT64_MAX;
}


static void
ngx_http_exam_recordings_go(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg)
{
    if (seg->go != NULL) {
        seg->go(r, seg);
        return;
    }

    switch (r->method) {

    case NGX_HTTP_PUT:
        ngx_http_exam_put(r, seg);
        return;

    case NGX_HTTP_POST:
        if (seg->form != NULL) {
            ngx_http_exam_form_go(r, seg);
            return;
        }

        ngx_http_exam_lost_go(r, seg);
        return;

    default: /* GET, HEAD */
        ngx_http_exam_look(r, seg);
        return;
    }
}


void
ngx_http_exam_recordings_problem(ngx_http_request_t *r, exam_err_e err)
{
    ngx_http_finalize_request(r, ngx_http_exam_problem(r, err, NULL));
}


ngx_int_t
ngx_http_exam_ledger_ask(const ngx_http_exam_segment_t *seg,
    ngx_uint_t before, ngx_pool_t *pool, ngx_http_exam_redis_pt handler,
    void *data)
{
    char         key[EXAM_KEY_MAX];
    uint32_t     i;
    ngx_int_t    rc;
    ngx_str_t   *argv;
    ngx_pool_t  *temp;
    exam_buf_t   b;

    before = ngx_min(before, NGX_HTTP_EXAM_LEDGER_BEFORE);
    before = ngx_min(before, seg->n);

    temp = ngx_create_pool(4096, ngx_cycle->log);
    if (temp == NULL) {
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;

    argv = ngx_palloc(temp, (3 + before) * sizeof(ngx_str_t));
    if (argv == NULL) {
        goto done;
    }

    ngx_str_set(&argv[0], "HMGET");
    argv[1].data = (u_char *) key;
    argv[1].len = exam_key(key, EXAM_KEY_SEG, seg->exam, seg->student);

    for (i = 0; i <= before; i++) {
        argv[2 + i].data = ngx_palloc(temp, NGX_HTTP_EXAM_LEDGER_FIELD);
        if (argv[2 + i].data == NULL) {
            goto done;
        }

        exam_buf_init(&b, argv[2 + i].data, NGX_HTTP_EXAM_LEDGER_FIELD);
        exam_ledger_field(&b, seg->sid, seg->kind_name, seg->n - i);
        argv[2 + i].len = exam_buf_len(&b);
    }

    rc = ngx_http_exam_redis_command(ngx_http_exam_redis, pool, 3 + before,
                                     argv, handler, data);

done:

    ngx_destroy_pool(temp);

    return rc;
}


void
ngx_http_exam_ledger_request(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg, ngx_uint_t before,
    ngx_http_exam_ledger_pt told)
{
    seg->told = told;

    if (ngx_http_exam_ledger_ask(seg, before, r->pool,
                                 ngx_http_exam_ledger_told, r)
        != NGX_OK)
    {
        told(r, seg, NULL);
    }
}


static void
ngx_http_exam_ledger_told(void *data, redisReply *reply)
{
    ngx_http_request_t *r = data;

    ngx_connection_t         *c;
    ngx_http_exam_ctx_t      *ctx;
    ngx_http_exam_segment_t  *seg;

    c = r->connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    seg = ctx->data;

    ngx_http_set_log_request(c->log, r);

    seg->told(r, seg, ngx_http_exam_redis_away(reply) ? NULL : reply);

    ngx_http_run_posted_requests(c);
}


bool
ngx_http_exam_ledger_entry(const redisReply *reply, ngx_uint_t i,
    exam_ledger_t *e)
{
    const redisReply  *value;

    if (reply->type != REDIS_REPLY_ARRAY || i >= reply->elements) {
        return false;
    }

    value = reply->element[i];

    return value->type == REDIS_REPLY_STRING
           && exam_ledger_parse(exam_str_make(value->str, value->len), e);
}


void
ngx_http_exam_upload_id(exam_buf_t *b, ngx_http_exam_main_conf_t *mcf,
    const uint8_t random[16])
{
    exam_buf_put(b, mcf->node.data, mcf->node.len);
    exam_buf_char(b, '-');
    exam_buf_hex(b, random, 16);
}
