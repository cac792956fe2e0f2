
/*
 * CSV as spreadsheets write it (RFC 4180): comma, double quotes doubled inside
 * quotes, LF or CRLF, an optional BOM.  Reads in place: fields point into the
 * text, quoted ones are unquoted where they lie.
 */


#include "ctl.h"

#include <stdlib.h>


static bool ctl_csv_field(ctl_csv_t *csv, char *text, bool *last);
static void ctl_csv_skip(ctl_csv_t *csv);
static void ctl_csv_push(ctl_csv_t *csv, exam_str_t field);


void
ctl_csv_init(ctl_csv_t *csv, char *text, size_t len)
{
    memset(csv, 0, sizeof(ctl_csv_t));

    csv->text = text;
    csv->len = len;
    csv->next = 1;

    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        csv->pos = 3;
    }
}


ctl_csv_e
ctl_csv_next(ctl_csv_t *csv)
{
    bool   last;
    char  *text;

    text = (char *) (uintptr_t) csv->text;

    do {
        if (csv->pos == csv->len) {
            return CTL_CSV_END;
        }

        csv->n = 0;
        csv->line = csv->next;

        do {
            if (!ctl_csv_field(csv, text, &last)) {
                ctl_csv_skip(csv);
                return CTL_CSV_BAD;
            }

        } while (!last);

        /* an empty line is no record */

    } while (csv->n == 1 && csv->fields[0].len == 0);

    return CTL_CSV_RECORD;
}


/* one field and what ends it; false: malformed */

static bool
ctl_csv_field(ctl_csv_t *csv, char *text, bool *last)
{
    size_t  start, out;

    start = csv->pos;
    *last = true;

    if (start == csv->len || text[start] != '"') {

        while (csv->pos < csv->len && text[csv->pos] != ','
               && text[csv->pos] != '\n')
        {
            csv->pos++;
        }

        out = csv->pos;

        if (out > start && text[out - 1] == '\r'
            && (out == csv->len || text[out] == '\n'))
        {
            out--;
        }

        ctl_csv_push(csv, exam_str_make(text + start, out - start));

    } else {
        csv->pos++;

        for (out = start; /* void */ ; out++) {

            if (csv->pos == csv->len) {
                return false;
            }

            if (text[csv->pos] == '"') {
                csv->pos++;

                if (csv->pos == csv->len || text[csv->pos] != '"') {
                    break;
                }
            }

            csv->next += (text[csv->pos] == '\n');
            text[out] = text[csv->pos++];
        }

        ctl_csv_push(csv, exam_str_make(text + start, out - start));

        if (csv->pos < csv->len && text[csv->pos] == '\r'
            && (csv->pos + 1 == csv->len || text[csv->pos + 1] == '\n'))
        {
            csv->pos++;
        }
    }

    if (csv->pos == csv->len) {
        return true;
    }

    switch (text[csv->pos]) {

    case ',':
        *last = false;
        break;

    case '\n':
        csv->next++;
        break;

    default:
        return false;
    }

    csv->pos++;

    return true;
}


/* behind the line of a bad record, so that the rest is checked too */

static void
ctl_csv_skip(ctl_csv_t *csv)
{
    while (csv->pos < csv->len && csv->text[csv->pos] != '\n') {
        csv->pos++;
    }

    if (csv->pos < csv->len) {
        csv->pos++;
        csv->next++;
    }
}


static void
ctl_csv_push(ctl_csv_t *csv, exam_str_t field)
{
    if (csv->n == csv->max) {
        csv->max = csv->max * 2 + 8;
        csv->fields = ctl_alloc(csv->fields, csv->max, sizeof(exam_str_t));
    }

    csv->fields[csv->n++] = field;
}


void
ctl_csv_free(ctl_csv_t *csv)
{
    free(csv->fields);
    csv->fields = NULL;
}


void
ctl_csv_write(FILE *out, exam_str_t field)
{
    size_t  i;

    if (memchr(field.data, ',', field.len) == NULL
        && memchr(field.data, '"', field.len) == NULL
        && memchr(field.data, '\n', field.len) == NULL)
    {
        (void) fwrite(field.data, 1, field.len, out);
        return;
    }

    (void) fputc('"', out);

    for (i = 0; i < field.len; i++) {
        if (field.data[i] == '"') {
            (void) fputc('"', out);
        }

        (void) fputc(field.data[i], out);
    }

    (void) fputc('"', out);
}
