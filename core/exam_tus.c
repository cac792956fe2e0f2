
/*
 * Request fields of tus 1.0.0.  Called by the module before an upload is
 * touched; pure, no allocation, any thread.
 *
 * What a field says is taken as a whole or not at all: a pair that cannot be is
 * an error even if its key is unknown to us.
 */


#include "exam_tus.h"


typedef struct {
    exam_str_t  key;
    exam_str_t  value;              /* base64; empty: none */
} exam_tus_pair_t;


static exam_err_e exam_tus_pairs(exam_str_t v, exam_tus_pair_t *pairs,
    size_t *n);
static bool exam_tus_pair(const uint8_t **pos, const uint8_t *end,
    exam_tus_pair_t *pair);
static bool exam_tus_known(exam_tus_metadata_t *m, const exam_tus_pair_t *pair,
    uint8_t *memory);
static exam_str_t exam_tus_name(exam_str_t key);
static bool exam_tus_kind(exam_tus_metadata_t *m, exam_str_t value,
    uint8_t *memory);
static void exam_tus_type(exam_tus_metadata_t *m, exam_str_t value,
    uint8_t *memory);
static bool exam_tus_space(uint8_t c);


typedef struct {
    exam_str_t  name;
    size_t      len;                /* bytes of a digest */
} exam_tus_alg_t;


/* by exam_tus_alg_e */

static const exam_tus_alg_t  exam_tus_algs[] = {
    { { 4, (const uint8_t *) "sha1" }, 20 },
    { { 6, (const uint8_t *) "sha256" }, 32 },
    { { 6, (const uint8_t *) "crc32c" }, 4 }
};

#define EXAM_TUS_ALGS  (sizeof(exam_tus_algs) / sizeof(exam_tus_algs[0]))


bool
exam_tus_number(exam_str_t v, int64_t *n)
{
    uint64_t  value;

    /* zeros in front are no reason to refuse an upload */

    while (v.len > 1 && v.data[0] == '0') {
        v.data++;
        v.len--;
    }

    if (!exam_uint_parse(v.data, v.len, INT64_MAX, &value)) {
        return false;
    }

    *n = (int64_t) value;

    return true;
}


exam_err_e
exam_tus_metadata(exam_str_t v, uint8_t *memory, exam_tus_metadata_t *m)
{
    size_t           i, k, n;
    exam_err_e       err;
    exam_tus_pair_t  pairs[EXAM_TUS_PAIRS_MAX];

    memset(m, 0, sizeof(exam_tus_metadata_t));

    m->started_at = -1;
    m->duration_ms = -1;

    err = exam_tus_pairs(v, pairs, &n);
    if (err != EXAM_OK) {
        return err;
    }

    for (i = 0; i < n; i++) {

        for (k = 0; k < i; k++) {
            if (exam_str_eq(pairs[i].key, pairs[k].key)) {
                return EXAM_ERR_BAD_METADATA;
            }
        }

        if (!exam_tus_known(m, &pairs[i], memory)) {
            m->wrong = exam_tus_name(pairs[i].key);
            return EXAM_ERR_BAD_METADATA;
        }
    }

    return EXAM_OK;
}


/* the field in its pairs; nothing is decoded */

static exam_err_e
exam_tus_pairs(exam_str_t v, exam_tus_pair_t *pairs, size_t *n)
{
    size_t          i, len;
    const uint8_t  *pos, *end;

    len = v.len;

    for (i = 0; i < v.len && len <= EXAM_METADATA_MAX; i++) {
        len += (v.data[i] == '"' || v.data[i] == '\\');
    }

    if (len > EXAM_METADATA_MAX) {
        return EXAM_ERR_HEADERS_TOO_LARGE;
    }

    *n = 0;

    pos = v.data;
    end = v.len ? v.data + v.len : v.data;      /* NULL + 0 is undefined */

    while (pos < end && exam_tus_space(*pos)) {
        pos++;
    }

    while (pos < end) {

        if (*n == EXAM_TUS_PAIRS_MAX) {
            return EXAM_ERR_HEADERS_TOO_LARGE;
        }

        if (!exam_tus_pair(&pos, end, &pairs[(*n)++])) {
            return EXAM_ERR_BAD_METADATA;
        }
    }

    return EXAM_OK;
}


/*
 * key [ SP [ base64 ] ], with its comma if one follows.  White space around a
 * comma comes from fields that were joined on the way.
 */

static bool
exam_tus_pair(const uint8_t **pos, const uint8_t *end, exam_tus_pair_t *pair)
{
    const uint8_t  *p, *start;

    start = *pos;

    for (p = start; p < end && *p > 0x20 && *p < 0x7f && *p != ','; p++) {
        /* void */
    }

    pair->key = exam_str_make(start, (size_t) (p - start));

    if (p < end && *p == ' ') {
        p++;
    }

    start = p;

    while (p < end && (exam_base64_digit(*p) >= 0 || *p == '=')) {
        p++;
    }

    pair->value = exam_str_make(start, (size_t) (p - start));

    while (p < end && exam_tus_space(*p)) {
        p++;
    }

    *pos = p;

    if (p == end) {
        return pair->key.len > 0;
    }

    if (*p++ != ',') {
        return false;
    }

    while (p < end && exam_tus_space(*p)) {
        p++;
    }

    *pos = p;

    /* a comma must have a pair behind it */

    return pair->key.len > 0 && p < end;
}


static bool
exam_tus_known(exam_tus_metadata_t *m, const exam_tus_pair_t *pair,
    uint8_t *memory)
{
    size_t      len;
    uint8_t     decoded[EXAM_TYPE_MAX];
    exam_str_t  value;

    if (!exam_base64_decode(pair->value, decoded, sizeof(decoded), &len)) {
        return false;
    }

    /* none of ours is longer; as an empty one, that is none either */

    value = exam_str_make(decoded, len <= sizeof(decoded) ? len : 0);

    if (exam_str_eq(pair->key, exam_str("kind"))) {
        return exam_tus_kind(m, value, memory);
    }

    if (exam_str_eq(pair->key, exam_str("n"))) {
        m->has_n = true;
        return exam_id_segment(value, &m->n);
    }

    if (exam_str_eq(pair->key, exam_str("started_at"))) {
        return exam_tus_number(value, &m->started_at);
    }

    if (exam_str_eq(pair->key, exam_str("duration_ms"))) {
        return exam_tus_number(value, &m->duration_ms);
    }

    if (exam_str_eq(pair->key, exam_str("filetype"))
        || (exam_str_eq(pair->key, exam_str("type"))
            && m->filetype.data == NULL))
    {
        exam_tus_type(m, value, memory + EXAM_KIND_MAX);
    }

    return true;
}


/* of those whose value can be wrong */

static exam_str_t
exam_tus_name(exam_str_t key)
{
    size_t  i;

    static const char  *names[] = { "kind", "n", "started_at", "duration_ms" };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (exam_str_eq(key, exam_str_make(names[i], strlen(names[i])))) {
            return exam_str_make(names[i], strlen(names[i]));
        }
    }

    return exam_str("");
}


static bool
exam_tus_kind(exam_tus_metadata_t *m, exam_str_t value, uint8_t *memory)
{
    /* of an attachment, told in so many words */

    if (!exam_id_kind(value) && !exam_str_eq(value, exam_str("file"))) {
        return false;
    }

    memcpy(memory, value.data, value.len);
    m->kind = exam_str_make(memory, value.len);

    return true;
}


/* a wrong type is for the caller to refuse, or to do without */

static void
exam_tus_type(exam_tus_metadata_t *m, exam_str_t value, uint8_t *memory)
{
    m->filetype = exam_str_make(memory, 0);

    if (value.len > 0 && exam_type_valid(value)) {
        memcpy(memory, value.data, value.len);
        m->filetype.len = value.len;
    }
}


static bool
exam_tus_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}


exam_err_e
exam_tus_checksum(exam_str_t v, exam_tus_checksum_t *sum)
{
    size_t      i;
    exam_str_t  name, value;

    for (i = 0; i < v.len && v.data[i] != ' '; i++) { /* void */ }

    if (i == v.len || i + 1 == v.len) {
        return EXAM_ERR_BAD_CHECKSUM;
    }

    name = exam_str_make(v.data, i);
    value = exam_str_make(v.data + i + 1, v.len - i - 1);

    for (i = 0; i < EXAM_TUS_ALGS; i++) {
        if (exam_str_eq(name, exam_tus_algs[i].name)) {
            break;
        }
    }

    if (i == EXAM_TUS_ALGS
        || !exam_base64_decode(value, sum->digest, sizeof(sum->digest),
                               &sum->len))
    {
        return EXAM_ERR_BAD_CHECKSUM;
    }

    sum->alg = (exam_tus_alg_e) i;

    return EXAM_OK;
}


size_t
exam_tus_checksum_len(exam_tus_alg_e alg)
{
    return exam_tus_algs[alg].len;
}


bool
exam_tus_checksum_eq(const exam_tus_checksum_t *sum, const uint8_t *digest)
{
    return sum->len == exam_tus_algs[sum->alg].len
           && memcmp(sum->digest, digest, sum->len) == 0;
}
