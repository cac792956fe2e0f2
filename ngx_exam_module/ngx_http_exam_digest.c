
/*
 * The field Content-Digest of a request; its text is parsed in core.  Called
 * for an upload on the event loop, no state.
 */


#include "ngx_http_exam_recordings.h"
#include "../core/exam_digest.h"


/* the field may stand on several lines, which are one list */

exam_err_e
ngx_http_exam_digest(ngx_http_request_t *r, uint8_t digest[EXAM_HASH_LEN],
    ngx_uint_t *has)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    *has = 0;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return EXAM_OK;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len != sizeof("Content-Digest") - 1
            || ngx_strncasecmp(h[i].key.data, (u_char *) "Content-Digest",
                               sizeof("Content-Digest") - 1)
               != 0)
        {
            continue;
        }

        switch (exam_digest_parse(exam_str_make(h[i].value.data,
                                                h[i].value.len),
                                  digest))
        {

        case EXAM_DIGEST_SHA256:
            *has = 1;
            break;

        case EXAM_DIGEST_MALFORMED:
            return EXAM_ERR_BAD_DIGEST;

        case EXAM_DIGEST_NONE:
            break;
        }
    }
}
