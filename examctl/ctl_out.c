
/*
 * Listings, printed row by row so that a million recordings need no memory:
 * text in columns of fixed width, or JSON `{"name":[{...},...]}`.
 */


#include "ctl.h"
#include "exam_time.h"

#include <stdlib.h>
#include <wchar.h>


static void ctl_cell_text(const ctl_column_t *column, const ctl_cell_t *cell,
    bool last);
static void ctl_json_text(exam_str_t text);
static int ctl_width(exam_str_t text);


void
ctl_list_begin(ctl_list_t *list, const ctl_t *ctl, const char *name,
    const ctl_column_t *columns)
{
    const ctl_column_t  *c;

    list->columns = columns;
    list->json = ctl->json;
    list->rows = 0;

    if (list->json) {
        printf("{\"%s\":[", name);
        return;
    }

    for (c = columns; c->name != NULL; c++) {
        if (c[1].name == NULL) {
            printf("%s", c->name);

        } else if (c->width != 0) {
            printf("%-*s  ", c->width, c->name);
        }
    }

    printf("\n");
}


void
ctl_list_row(ctl_list_t *list, const ctl_cell_t *cells)
{
    size_t  i;

    if (list->json) {
        printf(list->rows == 0 ? "\n" : ",\n");
    }

    for (i = 0; list->columns[i].name != NULL; i++) {

        if (list->json) {
            printf(i == 0 ? "{" : ",");
            ctl_cell_json(&list->columns[i], &cells[i]);

        } else if (list->columns[i].width != 0) {
            ctl_cell_text(&list->columns[i], &cells[i],
                          list->columns[i + 1].name == NULL);
        }
    }

    printf(list->json ? "}" : "\n");

    list->rows++;
}


void
ctl_list_end(ctl_list_t *list)
{
    if (list->json) {
        printf("%s]}\n", list->rows == 0 ? "" : "\n");
    }
}


ctl_rc_e
ctl_list_query(ctl_t *ctl, const char *name, const ctl_column_t *columns,
    const char *sql, const exam_str_t *args, unsigned n)
{
    unsigned     i;
    exam_db_e    rc;
    ctl_list_t   list;
    ctl_cell_t   cells[CTL_COLUMNS_MAX];
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_query(&stmt, &ctl->db, sql, args, n);

    if (rc == EXAM_DB_OK || rc == EXAM_DB_END) {
        ctl_list_begin(&list, ctl, name, columns);

        while (rc == EXAM_DB_OK) {
            for (i = 0; columns[i].name != NULL; i++) {
                cells[i] = ctl_cell_col(&stmt, i);
            }

            ctl_list_row(&list, cells);

            rc = exam_stmt_fetch(&stmt);
        }

        ctl_list_end(&list);
    }

    exam_stmt_close(&stmt);

    return (rc == EXAM_DB_END) ? CTL_OK : ctl_db_failed(ctl);
}


void
ctl_object(const ctl_t *ctl, const ctl_column_t *columns,
    const ctl_cell_t *cells)
{
    size_t  i;

    for (i = 0; columns[i].name != NULL; i++) {

        if (ctl->json) {
            printf(i == 0 ? "{" : ",");
            ctl_cell_json(&columns[i], &cells[i]);

        } else {
            printf("%-10s  ", columns[i].name);
            ctl_cell_text(&columns[i], &cells[i], true);
            printf("\n");
        }
    }

    if (ctl->json) {
        printf("}\n");
    }
}


static void
ctl_cell_text(const ctl_column_t *column, const ctl_cell_t *cell, bool last)
{
    int         pad;
    char        buf[EXAM_TIME_ISO];
    exam_str_t  text;

    text = cell->text;

    switch (column->type) {

    case CTL_TEXT:
    case CTL_JSON:
        break;

    case CTL_NUMBER:
        (void) snprintf(buf, sizeof(buf), "%lld", (long long) cell->number);
        text = ctl_str(buf);
        break;

    case CTL_SWITCH:
        text = (cell->number != 0) ? exam_str("yes") : exam_str("no");
        break;

    case CTL_TIME:
        exam_time_iso(buf, cell->number);
        text = (cell->number != 0) ? ctl_str(buf) : exam_str("-");
        break;
    }

    if (cell->null || text.len == 0) {
        text = exam_str("-");
    }

    (void) fwrite(text.data, 1, text.len, stdout);

    if (!last) {
        pad = column->width - ctl_width(text);
        printf("%*s", pad > 0 ? pad + 2 : 2, "");
    }
}


void
ctl_cell_json(const ctl_column_t *column, const ctl_cell_t *cell)
{
    printf("\"%s\":", column->name);

    if (cell->null) {
        printf("null");
        return;
    }

    switch (column->type) {

    case CTL_TEXT:
        ctl_json_text(cell->text);
        break;

    case CTL_JSON:
        (void) fwrite(cell->text.data, 1, cell->text.len, stdout);
        break;

    case CTL_SWITCH:
        printf(cell->number != 0 ? "true" : "false");
        break;

    case CTL_NUMBER:
    case CTL_TIME:
        printf("%lld", (long long) cell->number);
        break;
    }
}


static void
ctl_json_text(exam_str_t text)
{
    void        *memory;
    exam_buf_t   b;

    /* every byte may become \u00XX */

    memory = ctl_alloc(NULL, 6 * text.len + 2, 1);

    exam_buf_init(&b, memory, 6 * text.len + 2);
    exam_buf_json(&b, text);

    (void) fwrite(b.start, 1, exam_buf_len(&b), stdout);

    free(memory);
}


ctl_cell_t
ctl_cell_col(const exam_stmt_t *stmt, unsigned i)
{
    ctl_cell_t  cell;

    cell.null = exam_stmt_col_null(stmt, i);
    cell.number = exam_stmt_col_int(stmt, i);
    cell.text = exam_stmt_col_str(stmt, i);

    return cell;
}


/* columns of a terminal; bytes where the locale cannot tell */

static int
ctl_width(exam_str_t text)
{
    int        n, w;
    size_t     i, len;
    wchar_t    c;
    mbstate_t  state;

    memset(&state, 0, sizeof(mbstate_t));
    n = 0;

    for (i = 0; i < text.len; i += len) {
        len = mbrtowc(&c, (const char *) text.data + i, text.len - i, &state);

        if (len == 0 || len > text.len - i) {
            return (int) text.len;
        }

        w = wcwidth(c);
        n += (w > 0) ? w : 0;
    }

    return n;
}
