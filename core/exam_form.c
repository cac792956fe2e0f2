
/*
 * A push parser of multipart/form-data.  Called by the module with each piece
 * of a body as it arrives, on the event loop; pure, no allocation.
 *
 * File data is searched for the delimiter, CRLF "--" boundary, by memchr() for
 * the CR.  A boundary has no CR in it, so that a delimiter begun at the end of
 * a piece need not be kept: it is known from how many bytes of it have matched,
 * and where it turns out to be none, those bytes are handed out from the
 * delimiter itself, and none of them can begin another.
 */


#include "exam_form.h"


enum {
    EXAM_FORM_PREAMBLE = 0,
    EXAM_FORM_TAIL,                 /* behind a delimiter */
    EXAM_FORM_TAIL_DASH,            /* behind "-" of the last one */
    EXAM_FORM_TAIL_PADDING,
    EXAM_FORM_TAIL_LF,
    EXAM_FORM_HEAD,                 /* in the headers of a part */
    EXAM_FORM_BODY,
    EXAM_FORM_EPILOGUE,
    EXAM_FORM_FAILED
};


/* of a step, beside the events */

#define EXAM_FORM_ON   (EXAM_FORM_END + 1)      /* no event: another step */
#define EXAM_FORM_BAD  (EXAM_FORM_END + 2)


typedef struct {
    exam_str_t  name;               /* empty: there is no more */
    exam_str_t  value;              /* without its quotes, not unescaped */
    bool        quoted;
} exam_form_param_t;


static unsigned exam_form_step(exam_form_t *f, exam_str_t *in,
    exam_form_event_t *e);
static unsigned exam_form_content(exam_form_t *f, exam_str_t *in,
    exam_form_event_t *e);
static exam_str_t exam_form_scan(exam_form_t *f, exam_str_t *in);
static unsigned exam_form_delimited(exam_form_t *f, exam_form_event_t *e);
static unsigned exam_form_tail(exam_form_t *f, uint8_t c);
static unsigned exam_form_head(exam_form_t *f, uint8_t c,
    exam_form_event_t *e);
static unsigned exam_form_part(exam_form_t *f, exam_form_event_t *e);
static bool exam_form_header(exam_form_event_t *e, uint8_t *line, size_t len);
static bool exam_form_disposition(exam_form_event_t *e, exam_str_t value,
    uint8_t *memory);
static bool exam_form_encoding(exam_str_t value);
static bool exam_form_param(exam_str_t *rest, exam_form_param_t *p);
static bool exam_form_quoted(exam_str_t *rest, exam_str_t *value);
static exam_str_t exam_form_text(const exam_form_param_t *p, uint8_t *at);
static bool exam_form_extended(exam_str_t value, uint8_t *at,
    exam_str_t *out);
static bool exam_form_boundary(exam_form_t *f, exam_str_t boundary);
static exam_str_t exam_form_until(exam_str_t *rest, const char *stop);
static void exam_form_trim(exam_str_t *s);
static void exam_form_skip(exam_str_t *s, size_t n);
static bool exam_form_is(exam_str_t s, const char *lower);


exam_err_e
exam_form_init(exam_form_t *f, exam_str_t content_type)
{
    exam_str_t         type, boundary;
    exam_form_param_t  p;

    memset(f, 0, offsetof(exam_form_t, delimiter));

    type = exam_form_until(&content_type, ";");
    exam_form_trim(&type);

    if (!exam_form_is(type, "multipart/form-data")) {
        return EXAM_ERR_UNSUPPORTED_TYPE;
    }

    boundary = exam_str("");

    do {
        if (!exam_form_param(&content_type, &p)) {
            return EXAM_ERR_BAD_FORM;
        }

        if (exam_form_is(p.name, "boundary")) {

            if (boundary.len != 0) {
                return EXAM_ERR_BAD_FORM;
            }

            boundary = p.value;
        }

    } while (p.name.len != 0);

    return exam_form_boundary(f, boundary) ? EXAM_OK : EXAM_ERR_BAD_FORM;
}


/* RFC 2046 section 5.1.1: bchars, no space at the end */

static bool
exam_form_boundary(exam_form_t *f, exam_str_t boundary)
{
    size_t   i;
    uint8_t  c;

    static const char  others[] = "'()+_,-./:=? ";

    if (boundary.len == 0 || boundary.len > EXAM_FORM_BOUNDARY_MAX
        || boundary.data[boundary.len - 1] == ' ')
    {
        return false;
    }

    for (i = 0; i < boundary.len; i++) {
        c = boundary.data[i];

        if ((c < '0' || c > '9')
            && ((c | 0x20) < 'a' || (c | 0x20) > 'z')
            && memchr(others, c, sizeof(others) - 1) == NULL)
        {
            return false;
        }
    }

    memcpy(f->delimiter, "\r\n--", 4);
    memcpy(f->delimiter + 4, boundary.data, boundary.len);
    f->delimiter_len = boundary.len + 4;

    /* at the beginning of the body there is no CRLF before it */

    f->matched = 2;

    return true;
}


exam_err_e
exam_form_next(exam_form_t *f, exam_str_t *in, exam_form_event_e *what,
    exam_form_event_t *e)
{
    unsigned  rc;

    memset(e, 0, sizeof(exam_form_event_t));

    do {
        rc = exam_form_step(f, in, e);
    } while (rc == EXAM_FORM_ON);

    if (rc == EXAM_FORM_BAD) {
        f->state = EXAM_FORM_FAILED;
        return EXAM_ERR_BAD_FORM;
    }

    *what = (exam_form_event_e) rc;

    return EXAM_OK;
}


exam_err_e
exam_form_finished(const exam_form_t *f)
{
    return f->state == EXAM_FORM_EPILOGUE ? EXAM_OK : EXAM_ERR_BAD_FORM;
}


static unsigned
exam_form_step(exam_form_t *f, exam_str_t *in, exam_form_event_t *e)
{
    uint8_t  c;

    switch (f->state) {

    case EXAM_FORM_FAILED:
        return EXAM_FORM_BAD;

    case EXAM_FORM_PREAMBLE:
    case EXAM_FORM_BODY:
        return exam_form_content(f, in, e);

    default:
        break;
    }

    if (in->len == 0) {
        return EXAM_FORM_MORE;
    }

    if (f->state == EXAM_FORM_EPILOGUE) {
        exam_form_skip(in, in->len);
        return EXAM_FORM_MORE;
    }

    c = *in->data;
    exam_form_skip(in, 1);

    return f->state == EXAM_FORM_HEAD ? exam_form_head(f, c, e)
                                      : exam_form_tail(f, c);
}


static unsigned
exam_form_content(exam_form_t *f, exam_str_t *in, exam_form_event_t *e)
{
    exam_str_t  data;

    if (f->matched == f->delimiter_len) {
        return exam_form_delimited(f, e);
    }

    if (in->len == 0) {
        return EXAM_FORM_MORE;
    }

    data = exam_form_scan(f, in);

    if (data.len == 0 || f->state == EXAM_FORM_PREAMBLE) {
        return EXAM_FORM_ON;
    }

    if (f->in_file) {
        e->data = data;
        return EXAM_FORM_FILE_DATA;
    }

    if (data.len > EXAM_FORM_VALUE_MAX - f->value_len) {
        return EXAM_FORM_BAD;
    }

    memcpy(f->value + f->value_len, data.data, data.len);
    f->value_len += data.len;

    return EXAM_FORM_ON;
}


/*
 * What is certainly before a delimiter, of an input that is not empty.  Goes on
 * until it is found or the input is used up, but for bytes that were held back.
 */

static exam_str_t
exam_form_scan(exam_form_t *f, exam_str_t *in)
{
    size_t          n;
    exam_str_t      data;
    const uint8_t  *p, *end;

    if (f->matched > 0) {

        while (in->len > 0 && f->matched < f->delimiter_len
               && *in->data == f->delimiter[f->matched])
        {
            exam_form_skip(in, 1);
            f->matched++;
        }

        if (in->len == 0 || f->matched == f->delimiter_len) {
            return exam_str("");
        }

        data = exam_str_make(f->delimiter, f->matched);
        f->matched = 0;

        return data;
    }

    end = in->data + in->len;

    for (p = in->data; p < end; p++) {
        p = memchr(p, '\r', (size_t) (end - p));

        if (p == NULL) {
            p = end;
            break;
        }

        n = (size_t) (end - p);

        if (n > 2 && (p[1] != '\n' || p[2] != '-')) {
            continue;
        }

        if (n > f->delimiter_len) {
            n = f->delimiter_len;
        }

        if (memcmp(p, f->delimiter, n) == 0) {
            f->matched = n;
            break;
        }
    }

    data = exam_str_make(in->data, (size_t) (p - in->data));
    exam_form_skip(in, data.len + f->matched);

    return data;
}


static unsigned
exam_form_delimited(exam_form_t *f, exam_form_event_t *e)
{
    unsigned  before;

    before = f->state;

    f->state = EXAM_FORM_TAIL;
    f->matched = 0;
    f->head_len = 0;

    if (before == EXAM_FORM_PREAMBLE) {
        return EXAM_FORM_ON;
    }

    if (f->in_file) {
        f->in_file = false;
        return EXAM_FORM_FILE_END;
    }

    e->name = f->name;
    e->value = exam_str_make(f->value, f->value_len);

    return EXAM_FORM_FIELD;
}


/* delimiter := CRLF "--" boundary ( "--" / *( SP / HTAB ) CRLF ) */

static unsigned
exam_form_tail(exam_form_t *f, uint8_t c)
{
    if (f->state == EXAM_FORM_TAIL_DASH) {
        f->state = EXAM_FORM_EPILOGUE;

        f->fileless = (c == '-' && !f->file);

        return (c == '-' && f->file) ? EXAM_FORM_END : EXAM_FORM_BAD;
    }

    if (f->state == EXAM_FORM_TAIL_LF) {
        f->state = EXAM_FORM_HEAD;
        f->head_len = 0;

        return (c == '\n' && f->parts++ < EXAM_FORM_PARTS_MAX)
               ? EXAM_FORM_ON : EXAM_FORM_BAD;
    }

    if (f->state == EXAM_FORM_TAIL && c == '-') {
        f->state = EXAM_FORM_TAIL_DASH;
        return EXAM_FORM_ON;
    }

    if (c == '\r') {
        f->state = EXAM_FORM_TAIL_LF;
        return EXAM_FORM_ON;
    }

    f->state = EXAM_FORM_TAIL_PADDING;

    /* padding counts as a header would */

    return ((c == ' ' || c == '\t') && f->head_len++ < EXAM_FORM_HEAD_MAX)
           ? EXAM_FORM_ON : EXAM_FORM_BAD;
}


static unsigned
exam_form_head(exam_form_t *f, uint8_t c, exam_form_event_t *e)
{
    if (f->head_len == EXAM_FORM_HEAD_MAX) {
        return EXAM_FORM_BAD;
    }

    f->head[f->head_len++] = c;

    if (c != '\n' || f->head_len < 4
        || memcmp(f->head + f->head_len - 4, "\r\n\r\n", 4) != 0)
    {
        return EXAM_FORM_ON;
    }

    return exam_form_part(f, e);
}


/* all headers of a part are there: what is it? */

static unsigned
exam_form_part(exam_form_t *f, exam_form_event_t *e)
{
    uint8_t   *p, *lf, *end;
    unsigned   n;

    end = f->head + f->head_len - 2;

    for (p = f->head, n = 0; p < end; p = lf + 1, n++) {
        lf = memchr(p, '\n', (size_t) (end - p));

        if (lf == NULL || n == EXAM_FORM_HEADERS_MAX
            || !exam_form_header(e, p, (size_t) (lf - p)))
        {
            return EXAM_FORM_BAD;
        }
    }

    if (e->name.len == 0) {
        return EXAM_FORM_BAD;
    }

    f->state = EXAM_FORM_BODY;
    f->name = e->name;
    f->value_len = 0;

    if (!exam_str_eq(e->name, exam_str("file"))) {
        n = (e->filename.len == 0) ? EXAM_FORM_ON : EXAM_FORM_BAD;
        memset(e, 0, sizeof(exam_form_event_t));
        return n;
    }

    if (f->file) {
        return EXAM_FORM_BAD;
    }

    f->file = true;
    f->in_file = true;

    return EXAM_FORM_FILE_BEGIN;
}


/* a line with its CR; folded ones have been out of use since RFC 7230 */

static bool
exam_form_header(exam_form_event_t *e, uint8_t *line, size_t len)
{
    size_t      i;
    exam_str_t  name, value;

    if (len == 0 || line[len - 1] != '\r') {
        return false;
    }

    for (i = 0; i < len - 1; i++) {
        if ((line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f) {
            return false;
        }
    }

    value = exam_str_make(line, len - 1);
    name = exam_form_until(&value, ": \t");

    if (name.len == 0 || value.len == 0 || *value.data != ':') {
        return false;
    }

    exam_form_skip(&value, 1);
    exam_form_trim(&value);

    if (exam_form_is(name, "content-disposition")) {
        return e->name.len == 0
               && exam_form_disposition(e, value,
                                        line + (value.data - line));
    }

    if (exam_form_is(name, "content-type")) {
        e->type = value;
    }

    return !exam_form_is(name, "content-transfer-encoding")
           || exam_form_encoding(value);
}


/*
 * `memory` is the value again, to be written to: texts without their escapes
 * lie where those with them were.
 */

static bool
exam_form_disposition(exam_form_event_t *e, exam_str_t value, uint8_t *memory)
{
    bool               extended;
    uint8_t           *at;
    exam_str_t         rest, type;
    exam_form_param_t  p;

    rest = value;
    extended = false;

    type = exam_form_until(&rest, "; \t");

    if (!exam_form_is(type, "form-data")) {
        return false;
    }

    for ( ;; ) {
        if (!exam_form_param(&rest, &p)) {
            return false;
        }

        if (p.name.len == 0) {
            return e->name.len != 0;
        }

        at = memory + (p.value.data - value.data);

        if (exam_form_is(p.name, "name")) {

            if (e->name.len != 0) {
                return false;
            }

            e->name = exam_form_text(&p, at);

        } else if (exam_form_is(p.name, "filename") && !extended) {
            e->filename = exam_form_text(&p, at);

        } else if (exam_form_is(p.name, "filename*")) {

            if (!exam_form_extended(p.value, at, &e->filename)) {
                return false;
            }

            extended = true;
        }
    }
}


/* out of use (RFC 7578 section 4.7); a file in base64 would be kept so */

static bool
exam_form_encoding(exam_str_t value)
{
    return exam_form_is(value, "binary") || exam_form_is(value, "8bit")
           || exam_form_is(value, "7bit");
}


/* *( OWS ";" OWS [ name "=" ( quoted-string / text without spaces ) ] ) */

static bool
exam_form_param(exam_str_t *rest, exam_form_param_t *p)
{
    memset(p, 0, sizeof(exam_form_param_t));

    exam_form_trim(rest);

    if (rest->len == 0) {
        return true;
    }

    if (*rest->data != ';') {
        return false;
    }

    while (rest->len > 0
           && (*rest->data == ';' || *rest->data == ' '
               || *rest->data == '\t'))
    {
        exam_form_skip(rest, 1);
    }

    if (rest->len == 0) {
        return true;
    }

    p->name = exam_form_until(rest, "=; \t\"");

    if (p->name.len == 0 || rest->len == 0 || *rest->data != '=') {
        return false;
    }

    exam_form_skip(rest, 1);

    p->quoted = (rest->len > 0 && *rest->data == '"');

    if (p->quoted) {
        return exam_form_quoted(rest, &p->value);
    }

    p->value = exam_form_until(rest, "; \t");

    return p->value.len > 0;
}


/* a backslash escapes a quote and itself, else it is one (of a path) */

static bool
exam_form_quoted(exam_str_t *rest, exam_str_t *value)
{
    size_t  i;

    exam_form_skip(rest, 1);

    for (i = 0; i < rest->len && rest->data[i] != '"'; i++) {

        if (rest->data[i] == '\\' && i + 1 < rest->len
            && (rest->data[i + 1] == '"' || rest->data[i + 1] == '\\'))
        {
            i++;
        }
    }

    if (i >= rest->len) {
        return false;
    }

    *value = exam_str_make(rest->data, i);
    exam_form_skip(rest, i + 1);

    return true;
}


static exam_str_t
exam_form_text(const exam_form_param_t *p, uint8_t *at)
{
    size_t  i, n, len;

    len = p->value.len;
    n = 0;

    for (i = 0; i < len; i++) {

        if (p->quoted && at[i] == '\\' && i + 1 < len
            && (at[i + 1] == '"' || at[i + 1] == '\\'))
        {
            i++;
        }

        at[n++] = at[i];
    }

    return exam_str_make(at, n);
}


/* RFC 8187: charset "'" [ language ] "'" percent-encoded; UTF-8 only */

static bool
exam_form_extended(exam_str_t value, uint8_t *at, exam_str_t *out)
{
    size_t      i, n;
    uint8_t     c;
    exam_str_t  charset;

    charset = exam_form_until(&value, "'");

    if (value.len == 0 || !exam_form_is(charset, "utf-8")) {
        return false;
    }

    exam_form_skip(&value, 1);
    (void) exam_form_until(&value, "'");

    if (value.len == 0) {
        return false;
    }

    exam_form_skip(&value, 1);

    for (i = 0, n = 0; i < value.len; i++, n++) {
        c = value.data[i];

        if (c == '%') {

            if (value.len - i < 3
                || !exam_hex_decode(value.data + i + 1, 2, &c, 1))
            {
                return false;
            }

            i += 2;
        }

        if (c < 0x20 || c == 0x7f) {
            return false;
        }

        at[n] = c;
    }

    *out = exam_str_make(at, n);

    return true;
}


/* what is before the first byte of `stop`, which stays */

static exam_str_t
exam_form_until(exam_str_t *rest, const char *stop)
{
    size_t      i;
    exam_str_t  s;

    for (i = 0; i < rest->len; i++) {
        if (rest->data[i] != '\0' && strchr(stop, rest->data[i]) != NULL) {
            break;
        }
    }

    s = exam_str_make(rest->data, i);
    exam_form_skip(rest, i);

    return s;
}


static void
exam_form_trim(exam_str_t *s)
{
    while (s->len > 0 && (*s->data == ' ' || *s->data == '\t')) {
        exam_form_skip(s, 1);
    }

    while (s->len > 0
           && (s->data[s->len - 1] == ' ' || s->data[s->len - 1] == '\t'))
    {
        s->len--;
    }
}


static void
exam_form_skip(exam_str_t *s, size_t n)
{
    s->data += n;
    s->len -= n;
}


static bool
exam_form_is(exam_str_t s, const char *lower)
{
    size_t   i;
    uint8_t  c;

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if (c >= 'A' && c <= 'Z') {
            c |= 0x20;
        }

        if (c == '\0' || c != (uint8_t) lower[i]) {
            return false;
        }
    }

    return lower[i] == '\0';
}
