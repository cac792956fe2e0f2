
/*
 * The reply to a heartbeat (DESIGN 3.1): its JSON, and the two ways to send it.
 * A prebuilt header block and one send() where no header filter has anything to
 * add (HTTP/1.1, keep-alive, none of the operator's headers), nginx's filters
 * elsewhere.
 *
 * Runs on the event loop of any worker process, outside of all locks: what it
 * tells was copied under the shard's mutex by ngx_http_exam_heartbeat.c.
 */


#include "ngx_http_exam_beat.h"


#define NGX_HTTP_EXAM_RENEW_S     7200
#define NGX_HTTP_EXAM_BEAT_RESEND                                             \
    (EXAM_RESEND_MAX                                                          \
     * (sizeof("{\"kind\":\"\",\"n\":999999},") + EXAM_KIND_MAX))
#define NGX_HTTP_EXAM_BEAT_REPLY                                              \
    (NGX_HTTP_EXAM_JSON_MAX + EXAM_TOKEN_MAX + NGX_HTTP_EXAM_BEAT_RESEND)

/* head and body of a usual reply; the body is shorter than 1000 bytes */

#define NGX_HTTP_EXAM_BEAT_DIRECT  640


/* nginx declares it in no header */

extern ngx_module_t  ngx_http_headers_filter_module;


/* the first half of a reply, and what it depends on */

typedef struct {
    ngx_http_exam_main_conf_t   *mcf;
    int64_t                      now;
    int64_t                      end;
    exam_status_t                status;
    bool                         known;
    size_t                       len;
    u_char                       text[256];
} ngx_http_exam_beat_same_t;


static void ngx_http_exam_beat_json(ngx_http_request_t *r, exam_buf_t *b,
    const ngx_http_exam_beat_reply_t *reply, int64_t now);
static void ngx_http_exam_beat_resend(exam_buf_t *b,
    const exam_kinds_t *kinds, const ngx_http_exam_beat_reply_t *reply);
static void ngx_http_exam_beat_token(ngx_http_request_t *r, exam_buf_t *b,
    const ngx_http_exam_beat_reply_t *reply, int64_t now);
static ngx_int_t ngx_http_exam_beat_send(ngx_http_request_t *r, ngx_buf_t *b,
    size_t len);
static ngx_int_t ngx_http_exam_beat_filtered(ngx_http_request_t *r,
    const ngx_http_exam_beat_reply_t *reply, int64_t now);
static ngx_uint_t ngx_http_exam_beat_direct(ngx_http_request_t *r);
static ngx_uint_t ngx_http_exam_headers_added(ngx_http_request_t *r);


/*
 * Status line and header, with room for the body behind them, for where none of
 * the header filters has anything to add; NULL: the normal way.
 */

ngx_buf_t *
ngx_http_exam_beat_head(ngx_http_request_t *r)
{
    exam_buf_t                 head;
    ngx_buf_t                 *b;
    ngx_http_core_loc_conf_t  *clcf;

    if (!ngx_http_exam_beat_direct(r)) {
        return NULL;
    }

    b = ngx_create_temp_buf(r->pool, NGX_HTTP_EXAM_BEAT_DIRECT);
    if (b == NULL) {
        return NULL;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    exam_buf_init(&head, b->pos, NGX_HTTP_EXAM_BEAT_DIRECT);

    if (clcf->server_tokens == NGX_HTTP_SERVER_TOKENS_ON) {
        exam_buf_lit(&head, "HTTP/1.1 200 OK" CRLF
                            "Server: " NGINX_VER CRLF "Date: ");

    } else {
        exam_buf_lit(&head, "HTTP/1.1 200 OK" CRLF
                            "Server: nginx" CRLF "Date: ");
    }

    exam_buf_put(&head, ngx_cached_http_time.data, ngx_cached_http_time.len);
    exam_buf_lit(&head, CRLF "Content-Type: application/json" CRLF
                        "Connection: keep-alive" CRLF
                        "Cache-Control: no-store" CRLF
                        "Content-Length: 000" CRLF CRLF);

    b->last = head.pos;

    return b;
}


/* direct where there is a head and the body fits behind it, else filtered */

ngx_int_t
ngx_http_exam_beat_reply(ngx_http_request_t *r, ngx_buf_t *head,
    const ngx_http_exam_beat_reply_t *reply, int64_t now)
{
    exam_buf_t  b;

    if (head != NULL) {
        exam_buf_init(&b, head->last, head->end - head->last);
        ngx_http_exam_beat_json(r, &b, reply, now);

        if (!b.overflow) {
            return ngx_http_exam_beat_send(r, head, exam_buf_len(&b));
        }
    }

    return ngx_http_exam_beat_filtered(r, reply, now);
}


/*
 * The first half is the same for all sessions of an exam, in the same
 * millisecond: it is written once.
 */

static void
ngx_http_exam_beat_json(ngx_http_request_t *r, exam_buf_t *b,
    const ngx_http_exam_beat_reply_t *reply, int64_t now)
{
    int64_t                     end;
    exam_buf_t                  text;
    exam_status_t               status;
    ngx_http_exam_main_conf_t  *mcf;
    ngx_http_exam_beat_same_t  *same;

    static ngx_http_exam_beat_same_t  last;

    mcf = ngx_http_exam_main_conf(r);
    same = &last;

    end = exam_state_own_end(&reply->view, now);
    status = exam_state_status(&reply->view, now);

    if (same->now != now || same->end != end || same->mcf != mcf
        || same->status.locked != status.locked
        || same->status.paused != status.paused
        || same->status.closed != status.closed
        || same->known != reply->view.known)
    {
        same->mcf = mcf;
        same->now = now;
        same->end = end;
        same->status = status;
        same->known = reply->view.known;

        exam_buf_init(&text, same->text, sizeof(same->text));

        exam_buf_lit(&text, "{\"server_time\":");
        exam_buf_int(&text, now);
        exam_buf_lit(&text, ",\"next_s\":");
        exam_buf_int(&text, (int64_t) mcf->heartbeat_interval / 1000);
        exam_buf_lit(&text, ",\"ends_at\":");
        ngx_http_exam_time_json(&text, end);
        exam_buf_char(&text, ',');
        ngx_http_exam_status_json(&text, &reply->view, now);
        exam_buf_lit(&text, ",\"commands\":[");

        same->len = exam_buf_len(&text);
    }

    exam_buf_put(b, same->text, same->len);

    if (reply->commands != NULL) {
        exam_buf_put(b, reply->commands->text, reply->commands->len);
    }

    exam_buf_lit(b, "],");
    ngx_http_exam_stored_json(b, &mcf->kinds, reply->stored);
    exam_buf_lit(b, ",\"resend\":[");
    ngx_http_exam_beat_resend(b, &mcf->kinds, reply);
    exam_buf_lit(b, "],\"upload\":{\"slot_ms\":");
    exam_buf_int(b, reply->slot % (int64_t) mcf->segment_length);
    exam_buf_lit(b, "}");

    if (reply->exp - now / 1000 < NGX_HTTP_EXAM_RENEW_S) {
        ngx_http_exam_beat_token(r, b, reply, now);
    }

    exam_buf_lit(b, "}\n");
}


static void
ngx_http_exam_beat_resend(exam_buf_t *b, const exam_kinds_t *kinds,
    const ngx_http_exam_beat_reply_t *reply)
{
    uint32_t           i;
    const exam_str_t  *kind;

    for (i = 0; i < reply->nresend; i++) {
        kind = &kinds->name[reply->resend[i].kind];

        if (i > 0) {
            exam_buf_char(b, ',');
        }

        exam_buf_lit(b, "{\"kind\":\"");
        exam_buf_put(b, kind->data, kind->len);
        exam_buf_lit(b, "\",\"n\":");
        exam_buf_uint(b, reply->resend[i].n);
        exam_buf_char(b, '}');
    }
}


/* the session goes on longer than its token: here is the next one */

static void
ngx_http_exam_beat_token(ngx_http_request_t *r, exam_buf_t *b,
    const ngx_http_exam_beat_reply_t *reply, int64_t now)
{
    size_t                      len;
    uint8_t                     token[EXAM_TOKEN_MAX];
    exam_err_e                  err;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);
    ctx = ngx_http_exam_ctx(r);

    if (ctx == NULL) {
        return;
    }

    err = ngx_http_exam_authorize(r, ctx);
    if (err != EXAM_OK) {
        return;
    }

    ctx->claims.iat = now / 1000;
    ctx->claims.exp = ngx_http_exam_token_exp(mcf,
                                   exam_state_own_end(&reply->view, now), now);

    len = exam_token_issue(mcf->keys, EXAM_KEY_CANDIDATE, &ctx->claims, token,
                           sizeof(token));
    if (len == 0) {
        return;
    }

    exam_buf_lit(b, ",\"token\":\"");
    exam_buf_put(b, token, len);
    exam_buf_char(b, '"');
}


/* a body of len bytes stands behind the head: always three digits of them */

static ngx_int_t
ngx_http_exam_beat_send(ngx_http_request_t *r, ngx_buf_t *b, size_t len)
{
    u_char                     *p;
    ssize_t                     n;
    ngx_chain_t                 out;
    ngx_connection_t           *c;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);

    p = b->last - (sizeof("000" CRLF CRLF) - 1);

    p[0] = (u_char) ('0' + len / 100);
    p[1] = (u_char) ('0' + len / 10 % 10);
    p[2] = (u_char) ('0' + len % 10);

    r->header_size = b->last - b->pos;

    b->last += len;
    b->last_buf = 1;
    b->last_in_chain = 1;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = len;
    r->header_sent = 1;

    ngx_http_exam_count(mcf, requests_total, 1);

    /*
     * One send() takes it all, as a rule; what is left, and all limits, are
     * the write filter's.
     */

    c = r->connection;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->out == NULL && !c->buffered && !c->write->delayed
        && clcf->limit_rate == NULL
#if (NGX_HTTP_SSL)
        && c->ssl == NULL
#endif
       )
    {
        n = c->send(c, b->pos, b->last - b->pos);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n > 0) {
            b->pos += n;
        }

        if (b->pos == b->last) {
            return NGX_OK;
        }
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_write_filter(r, &out);
}


/* the reply through nginx's header and body filters */

static ngx_int_t
ngx_http_exam_beat_filtered(ngx_http_request_t *r,
    const ngx_http_exam_beat_reply_t *reply, int64_t now)
{
    exam_buf_t  b;

    u_char  memory[NGX_HTTP_EXAM_BEAT_REPLY + NGX_HTTP_EXAM_REPLY_BYTES];

    exam_buf_init(&b, memory, sizeof(memory));
    ngx_http_exam_beat_json(r, &b, reply, now);

    return ngx_http_exam_json(r, NGX_HTTP_OK, &b);
}


static ngx_uint_t
ngx_http_exam_beat_direct(ngx_http_request_t *r)
{
    ngx_http_core_loc_conf_t  *clcf;

    if (r->http_version != NGX_HTTP_VERSION_11 || !r->keepalive
        || r != r->main || r->header_only)
    {
        return 0;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->keepalive_header
        || clcf->server_tokens == NGX_HTTP_SERVER_TOKENS_BUILD)
    {
        return 0;
    }

    return !ngx_http_exam_headers_added(r);
}


/*
 * Has the location `add_header`, `add_trailer`, `expires` or origins?  The
 * headers filter keeps its configuration private, but its commands name the
 * offsets.
 */

static ngx_uint_t
ngx_http_exam_headers_added(ngx_http_request_t *r)
{
    char                      *conf;
    ngx_uint_t                 added;
    ngx_array_t              **list;
    ngx_command_t             *cmd;
    ngx_http_exam_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_exam_module);

    if (lcf->headers_looked) {
        return lcf->headers_added;
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_headers_filter_module);
    added = (lcf->cors != NULL);

    for (cmd = ngx_http_headers_filter_module.commands; cmd->name.len; cmd++) {

        if (ngx_strcmp(cmd->name.data, "expires") == 0) {

            /* its kind is the first member, 0 = off */

            added |= (*(int *) conf != 0);

        } else if (ngx_strcmp(cmd->name.data, "add_header") == 0
                   || ngx_strcmp(cmd->name.data, "add_trailer") == 0)
        {
            list = (ngx_array_t **) (conf + cmd->offset);
            added |= (*list != NULL);
        }
    }

    lcf->headers_looked = 1;
    lcf->headers_added = added;

    return added;
}
