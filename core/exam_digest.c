
/*
 * The request field Content-Digest (RFC 9530).  Called by the module before the
 * body of an upload is read; pure, no allocation, any thread.
 *
 * As strict as RFC 8941: what is not a dictionary of byte sequences is
 * malformed as a whole, so that a client's mistake is told and not passed over.
 * Of a key that stands twice the last one counts.
 */


#include "exam_digest.h"


typedef struct {
    const uint8_t  *pos;
    const uint8_t  *end;
} exam_digest_t;


static bool exam_digest_key(exam_digest_t *d, exam_str_t *key);
static bool exam_digest_bytes(exam_digest_t *d, exam_str_t *value);
static bool exam_digest_parameters(exam_digest_t *d);
static bool exam_digest_bare(exam_digest_t *d);
static bool exam_digest_decode(exam_str_t value, uint8_t out[EXAM_HASH_LEN]);
static int exam_digest_digit(uint8_t c);
static void exam_digest_spaces(exam_digest_t *d);
static bool exam_digest_skip(exam_digest_t *d, uint8_t c);
static bool exam_digest_alpha(uint8_t c);


exam_digest_e
exam_digest_parse(exam_str_t field, uint8_t sha256[EXAM_HASH_LEN])
{
    exam_str_t     key, value;
    exam_digest_t  d;
    exam_digest_e  found;

    found = EXAM_DIGEST_NONE;

    d.pos = field.data;
    d.end = field.data + field.len;

    exam_digest_spaces(&d);

    while (d.pos < d.end) {

        if (!exam_digest_key(&d, &key)
            || !exam_digest_skip(&d, '=')
            || !exam_digest_bytes(&d, &value)
            || !exam_digest_parameters(&d))
        {
            return EXAM_DIGEST_MALFORMED;
        }

        if (exam_str_eq(key, exam_str("sha-256"))) {

            if (!exam_digest_decode(value, sha256)) {
                return EXAM_DIGEST_MALFORMED;
            }

            found = EXAM_DIGEST_SHA256;
        }

        exam_digest_spaces(&d);

        if (d.pos == d.end) {
            break;
        }

        if (!exam_digest_skip(&d, ',')) {
            return EXAM_DIGEST_MALFORMED;
        }

        exam_digest_spaces(&d);

        /* a comma must have a member behind it */

        if (d.pos == d.end) {
            return EXAM_DIGEST_MALFORMED;
        }
    }

    return found;
}


/* ( lcalpha / "*" ) *( lcalpha / DIGIT / "_" / "-" / "." / "*" ) */

static bool
exam_digest_key(exam_digest_t *d, exam_str_t *key)
{
    uint8_t         c;
    const uint8_t  *start;

    start = d->pos;

    while (d->pos < d->end) {
        c = *d->pos;

        if ((c >= 'a' && c <= 'z') || c == '*') {
            d->pos++;
            continue;
        }

        if (d->pos > start
            && ((c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'))
        {
            d->pos++;
            continue;
        }

        break;
    }

    *key = exam_str_make(start, (size_t) (d->pos - start));

    return key->len > 0;
}


/* ":" *( base64 ) ":" */

static bool
exam_digest_bytes(exam_digest_t *d, exam_str_t *value)
{
    const uint8_t  *start;

    if (!exam_digest_skip(d, ':')) {
        return false;
    }

    start = d->pos;

    while (d->pos < d->end
           && (exam_digest_digit(*d->pos) >= 0 || *d->pos == '='))
    {
        d->pos++;
    }

    *value = exam_str_make(start, (size_t) (d->pos - start));

    return exam_digest_skip(d, ':');
}


/* *( ";" *SP key [ "=" bare-item ] ): they mean nothing to us */

static bool
exam_digest_parameters(exam_digest_t *d)
{
    exam_str_t  key;

    while (exam_digest_skip(d, ';')) {

        while (exam_digest_skip(d, ' ')) { /* void */ }

        if (!exam_digest_key(d, &key)) {
            return false;
        }

        if (exam_digest_skip(d, '=') && !exam_digest_bare(d)) {
            return false;
        }
    }

    return true;
}


/* numbers, booleans, tokens and strings, without telling them apart */

static bool
exam_digest_bare(exam_digest_t *d)
{
    exam_str_t      value;
    const uint8_t  *start;

    if (d->pos < d->end && *d->pos == ':') {
        return exam_digest_bytes(d, &value);
    }

    if (exam_digest_skip(d, '"')) {

        while (d->pos < d->end && *d->pos != '"') {

            if (*d->pos == '\\') {
                d->pos++;
            }

            if (d->pos < d->end) {
                d->pos++;
            }
        }

        return exam_digest_skip(d, '"');
    }

    start = d->pos;

    while (d->pos < d->end
           && (exam_digest_alpha(*d->pos)
               || memchr("0123456789-_.:/?*%!#$&'+^`|~", *d->pos, 28) != NULL))
    {
        d->pos++;
    }

    return d->pos > start;
}


static bool
exam_digest_decode(exam_str_t value, uint8_t out[EXAM_HASH_LEN])
{
    int       digit;
    size_t    i, n;
    uint32_t  bits;

    /* 32 bytes are 43 digits and, as RFC 8941 leaves open, a padding */

    if (value.len == 44 && value.data[43] == '=') {
        value.len--;
    }

    if (value.len != 43) {
        return false;
    }

    bits = 0;
    n = 0;

    for (i = 0; i < 43; i++) {
        digit = exam_digest_digit(value.data[i]);
        if (digit < 0) {
            return false;
        }

        bits = (bits << 6) | (uint32_t) digit;

        if (i % 4 != 0) {
            out[n++] = (uint8_t) (bits >> (6 - 2 * (i % 4)));
        }
    }

    return true;
}


static int
exam_digest_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }

    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }

    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    return (c == '+') ? 62 : (c == '/') ? 63 : -1;
}


static void
exam_digest_spaces(exam_digest_t *d)
{
    while (d->pos < d->end && (*d->pos == ' ' || *d->pos == '\t')) {
        d->pos++;
    }
}


static bool
exam_digest_skip(exam_digest_t *d, uint8_t c)
{
    if (d->pos < d->end && *d->pos == c) {
        d->pos++;
        return true;
    }

    return false;
}


static bool
exam_digest_alpha(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
