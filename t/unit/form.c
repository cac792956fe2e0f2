
/*
 * exam_form: forms as curl, Python requests and browsers send them, in pieces
 * of any size; what is wrong is refused wherever the pieces end.
 */


#include "tap.h"

#include "exam_form.h"


#define BOUNDARY   "------------------------d74496d66958873e"
#define TYPE       "multipart/form-data; boundary=" BOUNDARY
#define DASHED     "--" BOUNDARY
#define LINE       DASHED "\r\n"
#define LAST       DASHED "--\r\n"
#define PART(name) LINE "Content-Disposition: form-data; name=\"" name "\""
#define FIELD(name, value)  PART(name) "\r\n\r\n" value "\r\n"
#define FILE_HEAD  PART("file") "; filename=\"a.webm\"\r\n"                   \
                   "Content-Type: video/webm\r\n\r\n"
#define FILE_PART(data)  FILE_HEAD data "\r\n"

#define TRACE_MAX  65536


/* what came of a body: events in words, joined data of the file */

typedef struct {
    exam_err_e   err;
    bool         own;               /* some data lay in the form itself */
    exam_buf_t   events;
    exam_buf_t   data;
    char         text[TRACE_MAX];
    uint8_t      file[TRACE_MAX];
} trace_t;


static void test_clients(void);
static void test_fields(void);
static void test_delimiters(void);
static void test_dispositions(void);
static void test_refused(void);
static void test_limits(void);
static void test_cut(void);
static void test_boundary(void);
static void test_binary(void);
static void test_reference(void);
static void run(trace_t *t, const char *type, const void *body, size_t len,
    size_t first, size_t piece);
static void event(trace_t *t, exam_form_event_e what,
    const exam_form_event_t *e, exam_str_t in);
static bool same(const trace_t *a, const trace_t *b);
static void gives(const char *type, const char *body, const char *events,
    const char *name);
static void refuses(const char *body, const char *name);
static void begins(const char *head, const char *want, const char *name);
static exam_err_e init(const char *type);


static trace_t  whole, pieces;


int
main(void)
{
    test_clients();
    test_fields();
    test_delimiters();
    test_dispositions();
    test_refused();
    test_limits();
    test_cut();
    test_boundary();
    test_binary();
    test_reference();

    return tap_done();
}


/* `first` bytes, then pieces of `piece`, each in memory of its own */

static void
run(trace_t *t, const char *type, const void *body, size_t len, size_t first,
    size_t piece)
{
    void               *copy;
    size_t              n, done;
    exam_str_t          in, all;
    exam_form_t         f;
    exam_form_event_e   what;
    exam_form_event_t   e;

    t->own = false;
    exam_buf_init(&t->events, t->text, sizeof(t->text));
    exam_buf_init(&t->data, t->file, sizeof(t->file));

    t->err = exam_form_init(&f, exam_str_make(type, strlen(type)));

    for (done = 0, n = first; t->err == EXAM_OK && done < len; n = piece) {

        if (n > len - done) {
            n = len - done;
        }

        copy = tap_exact((const uint8_t *) body + done, n);
        in = all = exam_str_make(copy, n);

        do {
            t->err = exam_form_next(&f, &in, &what, &e);

            if (t->err == EXAM_OK) {
                event(t, what, &e, all);
            }

        } while (t->err == EXAM_OK && what != EXAM_FORM_MORE);

        if (t->err == EXAM_OK && in.len != 0) {
            exam_buf_lit(&t->events, "input is left\n");
        }

        free(copy);
        done += n;
    }

    if (t->err == EXAM_OK) {
        t->err = exam_form_finished(&f);
    }
}


static void
event(trace_t *t, exam_form_event_e what, const exam_form_event_t *e,
    exam_str_t in)
{
    exam_buf_t  *b;

    b = &t->events;

    switch (what) {

    case EXAM_FORM_FIELD:
        if (e->type.len != 0) {
            exam_buf_lit(b, "type of a field\n");
        }

        exam_buf_put(b, e->name.data, e->name.len);
        exam_buf_char(b, '=');
        exam_buf_put(b, e->value.data, e->value.len);
        exam_buf_char(b, '\n');
        return;

    case EXAM_FORM_FILE_BEGIN:
        exam_buf_lit(b, "begin ");
        exam_buf_put(b, e->filename.data, e->filename.len);
        exam_buf_lit(b, "|");
        exam_buf_put(b, e->type.data, e->type.len);
        exam_buf_char(b, '\n');
        return;

    case EXAM_FORM_FILE_DATA:
        if (e->data.len == 0) {
            exam_buf_lit(b, "empty data\n");
        }

        t->own = t->own || e->data.data < in.data
                 || e->data.data >= in.data + in.len;
        exam_buf_put(&t->data, e->data.data, e->data.len);
        return;

    case EXAM_FORM_FILE_END:
        exam_buf_lit(b, "file of ");
        exam_buf_uint(b, exam_buf_len(&t->data));
        exam_buf_char(b, '\n');
        return;

    case EXAM_FORM_END:
        exam_buf_lit(b, "end\n");
        return;

    default:
        return;
    }
}


static bool
same(const trace_t *a, const trace_t *b)
{
    return a->err == b->err
           && exam_buf_len(&a->events) == exam_buf_len(&b->events)
           && memcmp(a->text, b->text, exam_buf_len(&a->events)) == 0
           && exam_buf_len(&a->data) == exam_buf_len(&b->data)
           && memcmp(a->file, b->file, exam_buf_len(&a->data)) == 0;
}


/* the same whole, in two pieces cut anywhere, and in small ones */

static void
gives(const char *type, const char *body, const char *events,
    const char *name)
{
    bool    all;
    size_t  i, len;

    len = strlen(body);
    run(&whole, type, body, len, len, 1);

    tap_is(whole.err, EXAM_OK, name);
    tap_text(whole.text, exam_buf_len(&whole.events), events, name);

    all = true;

    for (i = 1; i < len; i++) {
        run(&pieces, type, body, len, i, len);
        all = all && same(&whole, &pieces);
    }

    for (i = 1; i < 8; i++) {
        run(&pieces, type, body, len, i, i);
        all = all && same(&whole, &pieces);
    }

    tap_ok(all, "%s, in pieces", name);
}


static void
refuses(const char *body, const char *name)
{
    bool    all;
    size_t  i, len;

    len = strlen(body);
    all = true;

    for (i = 1; i <= len; i++) {
        run(&whole, TYPE, body, len, i, len);
        all = all && whole.err == EXAM_ERR_BAD_FORM;
    }

    tap_ok(all, "refused: %s", name);
}


static void
test_clients(void)
{
    gives(TYPE,
          FIELD("kind", "screen") FIELD("n", "12") FILE_PART("abc") LAST,
          "kind=screen\nn=12\nbegin a.webm|video/webm\nfile of 3\nend\n",
          "curl -F");
    tap_text(whole.file, 3, "abc", "the data");

    gives("multipart/form-data; boundary=5d9c5bb4ea5e3b1dcb0ee5f2dd7b2b4b",
          "--5d9c5bb4ea5e3b1dcb0ee5f2dd7b2b4b\r\n"
          "Content-Disposition: form-data; name=\"kind\"\r\n\r\nscreen\r\n"
          "--5d9c5bb4ea5e3b1dcb0ee5f2dd7b2b4b\r\n"
          "Content-Disposition: form-data; name=\"file\"; "
          "filename*=utf-8''%E5%BD%95%201.webm\r\n\r\nxyz\r\n"
          "--5d9c5bb4ea5e3b1dcb0ee5f2dd7b2b4b--\r\n",
          "kind=screen\nbegin \xe5\xbd\x95 1.webm|\nfile of 3\nend\n",
          "Python requests");

    gives("multipart/form-data; "
          "boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
          "------WebKitFormBoundary7MA4YWxkTrZu0gW\r\n"
          "Content-Disposition: form-data; name=\"file\"; "
          "filename=\"\xe5\xbd\x95%22.webm\"\r\n"
          "Content-Type: video/webm;codecs=vp8,opus\r\n\r\n\r\n"
          "------WebKitFormBoundary7MA4YWxkTrZu0gW\r\n"
          "Content-Disposition: form-data; name=\"n\"\r\n\r\n0\r\n"
          "------WebKitFormBoundary7MA4YWxkTrZu0gW--\r\n",
          "begin \xe5\xbd\x95%22.webm|video/webm;codecs=vp8,opus\n"
          "file of 0\nn=0\nend\n",
          "Chromium, an empty file");
}


static void
test_fields(void)
{
    gives(TYPE,
          "preamble\r\n--not it\r\n" FIELD("empty", "")
          FIELD("lines", "\r\n\r\n--x\r\n") FILE_PART("x")
          LAST "epilogue\r\n" LINE,
          "empty=\nlines=\r\n\r\n--x\r\n\nbegin a.webm|video/webm\nfile of 1\n"
          "end\n",
          "preamble, epilogue, empty values and line ends");

    gives(TYPE,
          PART("n") "\r\nContent-Type: text/plain\r\n\r\n1\r\n"
          FILE_PART("x") LAST,
          "n=1\nbegin a.webm|video/webm\nfile of 1\nend\n",
          "a field with a type, which is not told");

    gives(TYPE, "\r\n" FILE_PART("x") DASHED "--",
          "begin a.webm|video/webm\nfile of 1\nend\n",
          "no line end behind the last delimiter");

    gives(TYPE, FIELD("n", "1") FIELD("n", "2") FILE_PART("x") LAST,
          "n=1\nn=2\nbegin a.webm|video/webm\nfile of 1\nend\n",
          "a field that stands twice is told twice");
}


static void
test_delimiters(void)
{
    gives(TYPE,
          FILE_HEAD "a\r\n--------------------------d74496d66958873f"
          "\r\r\n\n--\r\n-\r\n" DASHED "\r\n"
          "Content-Disposition: form-data; name=n\r\n\r\n3\r\n" LAST,
          "begin a.webm|video/webm\nfile of 54\nn=3\nend\n",
          "data that nearly looks like delimiters");

    gives(TYPE, FILE_HEAD "\r\n\r\n\r\n" LAST,
          "begin a.webm|video/webm\nfile of 4\nend\n", "data of line ends");

    gives(TYPE,
          DASHED " \t \r\nContent-Disposition: form-data; name=n\r\n\r\n1\r\n"
          DASHED "\t\r\n"
          "Content-Disposition: form-data; name=file\r\n\r\n2\r\n"
          DASHED "-- \t\r\n",
          "n=1\nbegin |\nfile of 1\nend\n", "padding behind delimiters");

    run(&whole, TYPE, FILE_HEAD "\r\n--!\r\n" LAST,
        strlen(FILE_HEAD "\r\n--!\r\n" LAST), strlen(FILE_HEAD) + 3, 100);
    tap_ok(whole.own && exam_buf_len(&whole.data) == 5
           && memcmp(whole.file, "\r\n--!", 5) == 0,
           "what was held back comes out of the form itself");
}


/* the rest of the part named file */

static void
begins(const char *head, const char *want, const char *name)
{
    char  body[2048], events[512];

    snprintf(body, sizeof(body), LINE "%s\r\n\r\nx\r\n" LAST, head);
    snprintf(events, sizeof(events), "begin %s\nfile of 1\nend\n", want);

    gives(TYPE, body, events, name);
}


static void
test_dispositions(void)
{
    begins("Content-Disposition: form-data; name=\"file\"; "
           "filename=\"a\\\"b\\\\c.webm\"", "a\"b\\c.webm|",
           "escapes of older curl");
    begins("Content-Disposition: form-data; name=\"file\"; "
           "filename=\"C:\\dir\\a.webm\"", "C:\\dir\\a.webm|",
           "a path of old browsers");
    begins("CONTENT-DISPOSITION:form-data;filename=a.webm;NAME=file",
           "a.webm|", "tokens, another order and case, no spaces");
    begins("Content-Disposition: form-data; name=file; filename=a\\\\b",
           "a\\\\b|", "no escapes without quotes");
    begins("content-disposition:  form-data ; name=\"file\" ; x=1; "
           "filename=\"a;b=c.webm\";", "a;b=c.webm|",
           "spaces, an unknown parameter, a semicolon at the end");
    begins("Content-Type:\tvideo/mp4 \r\nX-Unknown: 1\r\n"
           "Content-Disposition: form-data; name=file\r\n"
           "Content-Transfer-Encoding: binary", "|video/mp4",
           "other headers in another order");
    begins("Content-Disposition: form-data; name=\"file\"; "
           "filename*=UTF-8'en'a%62%2f; filename=\"old\"", "ab/|",
           "filename* comes before filename");
    begins("Content-Disposition: form-data; name=\"file\"; filename=\"old\"; "
           "filename*=utf-8''new", "new|", "either way round");
    gives(TYPE, FIELD("a\\\"b\\\\c\\d", "1") FILE_PART("x") LAST,
          "a\"b\\c\\d=1\nbegin a.webm|video/webm\nfile of 1\nend\n",
          "escapes in a name");
}


static void
test_refused(void)
{
    refuses(FIELD("n", "1") LAST, "no file");
    refuses(FILE_PART("a") FILE_PART("b") LAST, "two files");
    refuses(PART("other") "; filename=\"x\"\r\n\r\na\r\n" FILE_PART("b") LAST,
            "a file by another name");
    refuses(FILE_PART("a"), "no end");
    refuses(FILE_PART("a") DASHED "-", "half an end");
    refuses(FILE_PART("a") DASHED "-x", "no end after all");
    refuses(FILE_PART("a") DASHED "x\r\n" LAST,
            "something behind a delimiter");
    refuses(FILE_PART("a") DASHED "\rx" LAST, "a CR without LF behind it");
    refuses(LINE "\r\na\r\n" LAST, "a part without headers");
    refuses(LINE "Content-Type: video/webm\r\n\r\na\r\n" LAST,
            "a part without disposition");
    refuses(LINE "Content-Disposition: attachment; name=\"file\"\r\n\r\na\r\n"
            LAST, "another disposition");
    refuses(LINE "Content-Disposition: form-data\r\n\r\na\r\n" LAST,
            "no name");
    refuses(PART("") "\r\n\r\na\r\n" FILE_PART("b") LAST, "an empty name");
    refuses(PART("file") "; name=\"n\"\r\n\r\na\r\n" LAST, "two names");
    refuses(PART("file") "\r\nContent-Disposition: form-data; x=y\r\n\r\na"
            "\r\n" LAST, "two dispositions");
    refuses(PART("file") "; filename=\"a\r\n\r\na\r\n" LAST, "no quote");
    refuses(PART("file") "; filename=\"a\\\"\r\n\r\na\r\n" LAST,
            "no quote but an escaped one");
    refuses(PART("file") "; filename\r\n\r\na\r\n" LAST, "no value");
    refuses(PART("file") "; filename=\r\n\r\na\r\n" LAST, "an empty value");
    refuses(PART("file") " filename=a\r\n\r\na\r\n" LAST, "no semicolon");
    refuses(PART("file") "; =a\r\n\r\na\r\n" LAST, "a value without name");
    refuses(PART("file") "; filename*=latin1''a\r\n\r\na\r\n" LAST,
            "another character set");
    refuses(PART("file") "; filename*=utf-8'a\r\n\r\na\r\n" LAST,
            "one quote of two");
    refuses(PART("file") "; filename*=a\r\n\r\na\r\n" LAST, "none");
    refuses(PART("file") "; filename*=utf-8''%4\r\n\r\na\r\n" LAST,
            "half an escape");
    refuses(PART("file") "; filename*=utf-8''%0a\r\n\r\na\r\n" LAST,
            "an escaped line end");
    refuses(PART("file") "\r\n folded: 1\r\n\r\na\r\n" LAST, "a folded line");
    refuses(PART("file") "\r\nno colon\r\n\r\na\r\n" LAST, "no colon");
    refuses(PART("file") "\r\nX : 1\r\n\r\na\r\n" LAST,
            "a space before the colon");
    refuses(PART("file") "\r\n: x\r\n\r\na\r\n" LAST, "a header of no name");
    refuses(PART("file") "\nX: 1\r\n\r\na\r\n" LAST, "a bare LF");
    refuses(PART("file") "\rX: 1\r\n\r\na\r\n" LAST, "a bare CR");
    refuses(PART("file") "\r\nX: \x01\r\n\r\na\r\n" LAST, "a control");
    refuses(PART("file") "\r\nX: \x7f\r\n\r\na\r\n" LAST, "another one");
    refuses(PART("file") "\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ=="
            "\r\n" LAST, "a file in base64");
    refuses("", "nothing");
    refuses("a=b&c=d", "another form");
}


static void
test_limits(void)
{
    int         i, k;
    char        body[8192], value[EXAM_FORM_HEAD_MAX];
    exam_buf_t  b;

    memset(value, 'v', sizeof(value));

    snprintf(body, sizeof(body), PART("x") "\r\n\r\n%.*s\r\n" FILE_PART("a")
             LAST, EXAM_FORM_VALUE_MAX, value);
    run(&whole, TYPE, body, strlen(body), 7, 7);
    tap_is(whole.err, EXAM_OK, "the longest value");

    snprintf(body, sizeof(body), PART("x") "\r\n\r\n%.*s\r\n" FILE_PART("a")
             LAST, EXAM_FORM_VALUE_MAX + 1, value);
    refuses(body, "a byte more");

    i = EXAM_FORM_HEAD_MAX
        - (int) strlen("Content-Disposition: form-data; name=file\r\n"
                       "X: \r\n\r\n");

    snprintf(body, sizeof(body), LINE "Content-Disposition: form-data; "
             "name=file\r\nX: %.*s\r\n\r\na\r\n" LAST, i, value);
    run(&whole, TYPE, body, strlen(body), 7, 7);
    tap_is(whole.err, EXAM_OK, "the longest headers");

    snprintf(body, sizeof(body), LINE "Content-Disposition: form-data; "
             "name=file\r\nX: %.*s\r\n\r\na\r\n" LAST, i + 1, value);
    run(&whole, TYPE, body, strlen(body), 7, 7);
    tap_is(whole.err, EXAM_ERR_BAD_FORM, "a byte more");

    for (i = 7; i <= 8; i++) {
        exam_buf_init(&b, body, sizeof(body));
        exam_buf_lit(&b, PART("file") "\r\n");

        for (k = 0; k < i; k++) {
            exam_buf_lit(&b, "X: 1\r\n");
        }

        exam_buf_lit(&b, "\r\na\r\n" LAST);
        run(&whole, TYPE, body, exam_buf_len(&b), 7, 7);
        tap_is(whole.err, i == 7 ? EXAM_OK : EXAM_ERR_BAD_FORM,
               i == 7 ? "eight headers" : "nine of them");
    }

    exam_buf_init(&b, body, sizeof(body));
    exam_buf_lit(&b, FILE_PART("a"));

    for (i = 1; i < EXAM_FORM_PARTS_MAX; i++) {
        exam_buf_lit(&b, FIELD("n", "1"));
    }

    exam_buf_lit(&b, LAST);
    run(&whole, TYPE, body, exam_buf_len(&b), 7, 7);
    tap_is(whole.err, EXAM_OK, "16 parts");

    b.pos -= strlen(LAST);
    exam_buf_lit(&b, FIELD("n", "1") LAST);
    run(&whole, TYPE, body, exam_buf_len(&b), 7, 7);
    tap_is(whole.err, EXAM_ERR_BAD_FORM, "17 parts");

    for (i = 0; i < 2; i++) {
        exam_buf_init(&b, body, sizeof(body));
        exam_buf_lit(&b, FILE_PART("a") DASHED);
        memset(b.pos, ' ', EXAM_FORM_HEAD_MAX + 1);
        b.pos += EXAM_FORM_HEAD_MAX + i;
        exam_buf_lit(&b, "\r\nContent-Disposition: form-data; name=n\r\n"
                     "\r\n1\r\n" LAST);

        run(&whole, TYPE, body, exam_buf_len(&b), 7, 7);
        tap_is(whole.err, i == 0 ? EXAM_OK : EXAM_ERR_BAD_FORM,
               i == 0 ? "the longest padding" : "a byte more");
    }
}


/* a body cut anywhere but behind its last delimiter */

static void
test_cut(void)
{
    bool               all;
    size_t             i, len;
    exam_str_t         in;
    exam_form_t        f;
    exam_form_event_e  what;
    exam_form_event_t  e;

    static const char  body[] = FIELD("n", "1") FILE_PART("abc") LAST;

    len = sizeof(body) - 1;
    all = true;

    for (i = 0; i < len - 2; i++) {
        run(&whole, TYPE, body, i, i, 1);
        all = all && whole.err == EXAM_ERR_BAD_FORM;
    }

    tap_ok(all, "a form that is cut off is bad_form");

    run(&whole, TYPE, body, i, i, 1);
    tap_is(whole.err, EXAM_OK, "but for its last line end");

    tap_is(exam_form_init(&f, exam_str(TYPE)), EXAM_OK, "a form");

    in = exam_str(DASHED "-!");
    tap_is(exam_form_next(&f, &in, &what, &e), EXAM_ERR_BAD_FORM, "refused");
    in = exam_str(FILE_PART("x") LAST);
    tap_is(exam_form_next(&f, &in, &what, &e), EXAM_ERR_BAD_FORM,
           "and refused from then on");
    tap_is(exam_form_finished(&f), EXAM_ERR_BAD_FORM, "to its end");
}


static exam_err_e
init(const char *type)
{
    void         *p;
    exam_err_e    err;
    exam_form_t   f;

    p = tap_exact(type, strlen(type));
    err = exam_form_init(&f, exam_str_make(p, strlen(type)));
    free(p);

    return err;
}


static void
test_boundary(void)
{
    size_t  i;

    static const struct {
        const char  *type;
        exam_err_e   want;
    } t[] = {
        { "multipart/form-data; boundary=x", EXAM_OK },
        { "Multipart/Form-Data;charset=utf-8;BOUNDARY=\"x y\"", EXAM_OK },
        { "multipart/form-data ; boundary=a'()+_,-./:=?z ;", EXAM_OK },
        { "multipart/form-data; boundary=0123456789012345678901234567890123"
          "456789012345678901234567890123456789", EXAM_OK },
        { "multipart/form-data; boundary=0123456789012345678901234567890123"
          "4567890123456789012345678901234567890", EXAM_ERR_BAD_FORM },
        { "multipart/form-data", EXAM_ERR_BAD_FORM },
        { "multipart/form-data; boundary", EXAM_ERR_BAD_FORM },
        { "multipart/form-data; boundary=", EXAM_ERR_BAD_FORM },
        { "multipart/form-data; boundary=\"\"", EXAM_ERR_BAD_FORM },
        { "multipart/form-data; boundary=\"x", EXAM_ERR_BAD_FORM },
        { "multipart/form-data; boundary=\"x \"", EXAM_ERR_BAD_FORM },
        { "multipart/form-data; boundary=x*y", EXAM_ERR_BAD_FORM },
        { "multipart/form-data; boundary=\"x\\\"y\"", EXAM_ERR_BAD_FORM },
        { "multipart/form-data; boundary=\xc3\xa9", EXAM_ERR_BAD_FORM },
        { "multipart/form-data; boundary=x; boundary=y", EXAM_ERR_BAD_FORM },
        { "multipart/form-data boundary=x", EXAM_ERR_UNSUPPORTED_TYPE },
        { "multipart/mixed; boundary=x", EXAM_ERR_UNSUPPORTED_TYPE },
        { "multipart/form-dataX; boundary=x", EXAM_ERR_UNSUPPORTED_TYPE },
        { "multipart/form-dat; boundary=x", EXAM_ERR_UNSUPPORTED_TYPE },
        { "application/x-www-form-urlencoded", EXAM_ERR_UNSUPPORTED_TYPE },
        { "", EXAM_ERR_UNSUPPORTED_TYPE }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        tap_ok(init(t[i].type) == t[i].want, "\"%s\": %s", t[i].type,
               exam_err_info(t[i].want)->code);
    }

    gives("multipart/form-data; boundary=\"a b\"",
          "--a b\r\nContent-Disposition: form-data; name=file\r\n\r\n"
          "--a\r\n--a \r\n--a b--", "begin |\nfile of 9\nend\n",
          "a boundary with a space");
}


/* all byte values, and many that a delimiter is made of */

static void
test_binary(void)
{
    bool      ok;
    int       round;
    size_t    i, n, at;
    uint8_t   body[20000], data[16384];

    static const char  some[] = "\r\n--d";

    ok = true;

    for (round = 0; round < 300; round++) {
        n = tap_random() % sizeof(data);

        for (i = 0; i < n; i++) {
            data[i] = (uint8_t) tap_random();

            if (round % 2 == 0 && data[i] % 2 == 0) {
                data[i] = (uint8_t) some[tap_random() % 5];
            }
        }

        at = strlen(FILE_HEAD);
        memcpy(body, FILE_HEAD, at);
        memcpy(body + at, data, n);
        memcpy(body + at + n, "\r\n" LAST, strlen("\r\n" LAST));

        run(&whole, TYPE, body, at + n + strlen("\r\n" LAST),
            1 + tap_random() % 8000, 1 + tap_random() % 3000);

        ok = ok && whole.err == EXAM_OK && exam_buf_len(&whole.data) == n
             && memcmp(whole.file, data, n) == 0;
    }

    tap_ok(ok, "any bytes, in any pieces, come out as they went in");
}


/* nothing is copied: the data are the caller's own bytes */

static void
test_reference(void)
{
    exam_str_t          in;
    const uint8_t      *file;
    exam_form_t         f;
    exam_form_event_e   what;
    exam_form_event_t   e;

    static const char  body[] = FILE_PART("abcdef") LAST;

    file = (const uint8_t *) body + strlen(FILE_HEAD);
    in = exam_str_make(body, sizeof(body) - 1);

    tap_is(exam_form_init(&f, exam_str(TYPE)), EXAM_OK, "a form");
    tap_ok(exam_form_next(&f, &in, &what, &e) == EXAM_OK
           && what == EXAM_FORM_FILE_BEGIN && in.data == file,
           "the file begins where its data do");
    tap_ok(exam_form_next(&f, &in, &what, &e) == EXAM_OK
           && what == EXAM_FORM_FILE_DATA && e.data.data == file
           && e.data.len == 6, "the data are the caller's");
}
