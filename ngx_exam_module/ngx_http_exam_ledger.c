
/*
 * The union of ledger and zone (see the header).  Pure but for the zone's lock;
 * called on the event loop by /me and logout.
 */


#include "ngx_http_exam_ledger.h"


static ngx_int_t ngx_http_exam_ledger_pair(const exam_kinds_t *kinds,
    redisReply *field, redisReply *value, ngx_http_exam_ledger_entry_t *e);
static int ngx_libc_cdecl ngx_http_exam_ledger_order(const void *one,
    const void *two);


static const char  *ngx_http_exam_sets[] = {
    "stored", "received", "receiving", "lost", "refused"
};


void
ngx_http_exam_ledger_init(ngx_http_exam_ledger_t *l)
{
    ngx_uint_t  i, j;

    for (i = 0; i < EXAM_KINDS_MAX; i++) {
        for (j = 0; j < NGX_HTTP_EXAM_SETS; j++) {
            exam_ranges_init(&l->sets[i][j], l->memory[i][j],
                             NGX_HTTP_EXAM_LEDGER_RANGES);
        }
    }
}


ngx_int_t
ngx_http_exam_ledger_read(ngx_http_request_t *r, redisReply *reply,
    size_t from, ngx_array_t *entries)
{
    size_t                         i;
    ngx_uint_t                     n;
    ngx_http_exam_main_conf_t     *mcf;
    ngx_http_exam_ledger_entry_t  *e;

    mcf = ngx_http_exam_main_conf(r);
    n = reply->elements > from ? (reply->elements - from) / 2 : 0;

    if (ngx_array_init(entries, r->pool, ngx_max(n, 1),
                       sizeof(ngx_http_exam_ledger_entry_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = from; i + 1 < reply->elements; i += 2) {

        e = ngx_array_push(entries);
        if (e == NULL) {
            return NGX_ERROR;
        }

        if (ngx_http_exam_ledger_pair(&mcf->kinds, reply->element[i],
                                      reply->element[i + 1], e)
            != NGX_OK)
        {
            entries->nelts--;
        }
    }

    ngx_qsort(entries->elts, entries->nelts, entries->size,
              ngx_http_exam_ledger_order);

    return NGX_OK;
}


static ngx_int_t
ngx_http_exam_ledger_pair(const exam_kinds_t *kinds, redisReply *field,
    redisReply *value, ngx_http_exam_ledger_entry_t *e)
{
    int            kind;
    exam_str_t     name;
    exam_ledger_t  entry;

    if (field->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING
        || !exam_ledger_field_parse(exam_str_make(field->str, field->len),
                                    e->sid, &name, &e->n)
        || !exam_ledger_parse(exam_str_make(value->str, value->len), &entry))
    {
        return NGX_DECLINED;
    }

    kind = exam_kind_find(kinds, name);

    if (kind < 0) {
        return NGX_DECLINED;
    }

    e->kind = (uint8_t) kind;
    e->state = (uint8_t) entry.state;

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_http_exam_ledger_order(const void *one, const void *two)
{
    const ngx_http_exam_ledger_entry_t *a = one;
    const ngx_http_exam_ledger_entry_t *b = two;

    return (a->n > b->n) - (a->n < b->n);
}


void
ngx_http_exam_ledger_add(ngx_http_exam_ledger_t *l, ngx_uint_t kind,
    uint32_t n, exam_seg_e state)
{
    ngx_http_exam_set_e  set;

    switch (state) {

    case EXAM_SEG_STORED:
        set = NGX_HTTP_EXAM_SET_STORED;
        break;

    case EXAM_SEG_RECEIVED:
        set = NGX_HTTP_EXAM_SET_RECEIVED;
        break;

    case EXAM_SEG_RECEIVING:
        set = NGX_HTTP_EXAM_SET_RECEIVING;
        break;

    case EXAM_SEG_LOST:
        set = NGX_HTTP_EXAM_SET_LOST;
        break;

    case EXAM_SEG_REFUSED:
        set = NGX_HTTP_EXAM_SET_REFUSED;
        break;

    default:
        return;
    }

    /*
     * in rising order only a set with more holes than fit ends early: what is
     * behind is sent again, and answered as known
     */

    (void) exam_ranges_add(&l->sets[kind][set], n, n);
}


void
ngx_http_exam_ledger_local(ngx_http_exam_ledger_t *l,
    ngx_http_exam_main_conf_t *mcf, const uint8_t sid[EXAM_SID_LEN])
{
    ngx_uint_t                i;
    exam_ranges_t             local, fresh;
    exam_range_t              memory[NGX_HTTP_EXAM_LEDGER_RANGES];
    exam_range_t              more[NGX_HTTP_EXAM_LEDGER_RANGES];
    exam_ranges_t            *sets;
    ngx_http_exam_snapshot_t  snap;

    if (ngx_http_exam_zone_look(mcf->zone, sid, &snap) != NGX_OK) {
        return;
    }

    for (i = 0; i < mcf->kinds.n; i++) {
        sets = l->sets[i];

        if (snap.stored[i] >= 0) {
            (void) exam_ranges_add(&sets[NGX_HTTP_EXAM_SET_STORED], 0,
                                   (uint32_t) snap.stored[i]);
        }

        exam_ranges_init(&local, memory, NGX_HTTP_EXAM_LEDGER_RANGES);
        exam_ranges_init(&fresh, more, NGX_HTTP_EXAM_LEDGER_RANGES);

        if (ngx_http_exam_zone_received(mcf->zone, sid, i, &local)
            == NGX_DECLINED)
        {
            continue;
        }

        /* received here and stored by now is stored */

        if (exam_ranges_subtract(&fresh, &local,
                                 &sets[NGX_HTTP_EXAM_SET_STORED]))
        {
            (void) exam_ranges_merge(&sets[NGX_HTTP_EXAM_SET_RECEIVED],
                                     &fresh);
        }
    }
}


int32_t
ngx_http_exam_ledger_stored(ngx_http_exam_ledger_t *l, ngx_uint_t kind)
{
    exam_range_t   memory[2 * NGX_HTTP_EXAM_LEDGER_RANGES];
    exam_ranges_t  settled;

    exam_ranges_init(&settled, memory, 2 * NGX_HTTP_EXAM_LEDGER_RANGES);

    if (!exam_ranges_merge(&settled, &l->sets[kind][NGX_HTTP_EXAM_SET_STORED])
        || !exam_ranges_merge(&settled, &l->sets[kind][NGX_HTTP_EXAM_SET_LOST])
        || settled.n == 0 || settled.r[0].lo != 0)
    {
        return -1;
    }

    return (int32_t) settled.r[0].hi;
}


void
ngx_http_exam_ledger_pending(ngx_http_exam_ledger_t *l, ngx_uint_t kind,
    int64_t last, exam_ranges_t *out)
{
    const exam_ranges_t  *settled[3];

    if (last < 0) {
        return;
    }

    settled[0] = &l->sets[kind][NGX_HTTP_EXAM_SET_STORED];
    settled[1] = &l->sets[kind][NGX_HTTP_EXAM_SET_RECEIVED];
    settled[2] = &l->sets[kind][NGX_HTTP_EXAM_SET_LOST];

    /* truncated: the rest is told when these have come */

    (void) exam_ranges_missing(out, 0, (uint32_t) last, settled, 3);
}


void
ngx_http_exam_ledger_json(ngx_http_exam_ledger_t *l, exam_buf_t *b,
    const exam_kinds_t *kinds)
{
    int64_t        last;
    ngx_uint_t     i, j;
    exam_range_t   memory[NGX_HTTP_EXAM_LEDGER_RANGES];
    exam_ranges_t  missing;

    exam_buf_char(b, '{');

    for (i = 0; i < kinds->n; i++) {
        last = -1;

        if (i > 0) {
            exam_buf_char(b, ',');
        }

        exam_buf_char(b, '"');
        exam_buf_put(b, kinds->name[i].data, kinds->name[i].len);
        exam_buf_lit(b, "\":{");

        for (j = 0; j < NGX_HTTP_EXAM_SETS; j++) {
            exam_buf_char(b, '"');
            exam_buf_put(b, ngx_http_exam_sets[j],
                         ngx_strlen(ngx_http_exam_sets[j]));
            exam_buf_lit(b, "\":");
            exam_ranges_json(b, &l->sets[i][j]);
            exam_buf_char(b, ',');

            last = ngx_max(last, exam_ranges_highest(&l->sets[i][j]));
        }

        exam_ranges_init(&missing, memory, NGX_HTTP_EXAM_LEDGER_RANGES);
        ngx_http_exam_ledger_pending(l, i, last, &missing);

        exam_buf_lit(b, "\"missing\":");
        exam_ranges_json(b, &missing);
        exam_buf_char(b, '}');
    }

    exam_buf_char(b, '}');
}
