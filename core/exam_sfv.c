
/*
 * Structured fields (RFC 9651): the parts that are read, without a tree.  Used
 * by the parsers of digests and by the module for the fields of resumable
 * uploads; pure, no allocation, any thread.
 *
 * A parser moves a cursor; what it refuses leaves the cursor somewhere, for the
 * whole field is refused then.
 */


#include "exam_sfv.h"


static bool exam_sfv_bare(exam_sfv_t *f);
static bool exam_sfv_string(exam_sfv_t *f);
static bool exam_sfv_end(exam_sfv_t *f);
static bool exam_sfv_alpha(uint8_t c);
static void exam_rufh_member(exam_buf_t *b, const char *key, int64_t value);


void
exam_sfv_init(exam_sfv_t *f, exam_str_t field)
{
    f->pos = field.data;
    f->end = field.data;

    /* a field that is not there has no memory either: NULL + 0 is undefined */

    if (field.len > 0) {
        f->end += field.len;
    }

    exam_sfv_spaces(f);
}


bool
exam_sfv_boolean(exam_str_t field, bool *value)
{
    exam_sfv_t  f;

    exam_sfv_init(&f, field);

    if (!exam_sfv_skip(&f, '?')) {
        return false;
    }

    *value = (f.pos < f.end && *f.pos == '1');

    if (!exam_sfv_skip(&f, '0') && !exam_sfv_skip(&f, '1')) {
        return false;
    }

    return exam_sfv_end(&f);
}


/* of a field that is an item */

static bool
exam_sfv_end(exam_sfv_t *f)
{
    if (!exam_sfv_parameters(f)) {
        return false;
    }

    exam_sfv_spaces(f);

    return f->pos == f->end;
}


void
exam_sfv_spaces(exam_sfv_t *f)
{
    while (f->pos < f->end && (*f->pos == ' ' || *f->pos == '\t')) {
        f->pos++;
    }
}


bool
exam_sfv_skip(exam_sfv_t *f, uint8_t c)
{
    if (f->pos < f->end && *f->pos == c) {
        f->pos++;
        return true;
    }

    return false;
}


/* ( lcalpha / "*" ) *( lcalpha / DIGIT / "_" / "-" / "." / "*" ) */

bool
exam_sfv_key(exam_sfv_t *f, exam_str_t *key)
{
    uint8_t         c;
    const uint8_t  *start;

    start = f->pos;

    while (f->pos < f->end) {
        c = *f->pos;

        if ((c >= 'a' && c <= 'z') || c == '*') {
            f->pos++;
            continue;
        }

        if (f->pos > start
            && ((c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'))
        {
            f->pos++;
            continue;
        }

        break;
    }

    *key = exam_str_make(start, (size_t) (f->pos - start));

    return key->len > 0;
}


/* ":" *( base64 ) ":" */

bool
exam_sfv_bytes(exam_sfv_t *f, exam_str_t *base64)
{
    const uint8_t  *start;

    if (!exam_sfv_skip(f, ':')) {
        return false;
    }

    start = f->pos;

    while (f->pos < f->end
           && (exam_base64_digit(*f->pos) >= 0 || *f->pos == '='))
    {
        f->pos++;
    }

    *base64 = exam_str_make(start, (size_t) (f->pos - start));

    return exam_sfv_skip(f, ':');
}


/* *( ";" *SP key [ "=" bare-item ] ): they mean nothing to us */

bool
exam_sfv_parameters(exam_sfv_t *f)
{
    exam_str_t  key;

    while (exam_sfv_skip(f, ';')) {

        while (exam_sfv_skip(f, ' ')) { /* void */ }

        if (!exam_sfv_key(f, &key)) {
            return false;
        }

        if (exam_sfv_skip(f, '=') && !exam_sfv_bare(f)) {
            return false;
        }
    }

    return true;
}


/* numbers, booleans and tokens without telling them apart */

static bool
exam_sfv_bare(exam_sfv_t *f)
{
    exam_str_t      value;
    const uint8_t  *start;

    if (f->pos < f->end && *f->pos == ':') {
        return exam_sfv_bytes(f, &value);
    }

    if (exam_sfv_skip(f, '"')) {
        return exam_sfv_string(f);
    }

    start = f->pos;

    while (f->pos < f->end
           && (exam_sfv_alpha(*f->pos)
               || memchr("0123456789-_.:/?*%!#$&'+^`|~", *f->pos, 28) != NULL))
    {
        f->pos++;
    }

    return f->pos > start;
}


static bool
exam_sfv_string(exam_sfv_t *f)
{
    while (f->pos < f->end && *f->pos != '"') {

        if (*f->pos == '\\') {
            f->pos++;
        }

        if (f->pos < f->end) {
            f->pos++;
        }
    }

    return exam_sfv_skip(f, '"');
}


static bool
exam_sfv_alpha(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}


/* OWS "," OWS member; a comma must have a member behind it */

bool
exam_sfv_next(exam_sfv_t *f)
{
    exam_sfv_spaces(f);

    if (f->pos == f->end) {
        return true;
    }

    if (!exam_sfv_skip(f, ',')) {
        return false;
    }

    exam_sfv_spaces(f);

    return f->pos < f->end;
}


void
exam_rufh_limit(exam_buf_t *b, int64_t min, int64_t max, int64_t max_append,
    int64_t max_age_s)
{
    exam_rufh_member(b, "min-size=", min < 0 ? 0 : min);
    exam_rufh_member(b, ", max-size=", max);
    exam_rufh_member(b, ", max-append-size=", max_append);
    exam_rufh_member(b, ", max-age=", max_age_s);
}


static void
exam_rufh_member(exam_buf_t *b, const char *key, int64_t value)
{
    if (value < 0) {
        return;
    }

    exam_buf_put(b, key, strlen(key));
    exam_buf_int(b, value > EXAM_SFV_INT_MAX ? EXAM_SFV_INT_MAX : value);
}
