
/*
 * The fields Content-Digest and Repr-Digest of a request; their text is parsed
 * in core.  Called for an upload on the event loop, no state.
 */


#include "ngx_http_exam_recordings.h"
#include "../core/exam_digest.h"


exam_err_e
ngx_http_exam_digest(ngx_http_request_t *r, uint8_t digest[EXAM_HASH_LEN],
    ngx_uint_t *has)
{
    return ngx_http_exam_digest_of(r, "Content-Digest", digest, has);
}


/* the field may stand on several lines, which are one list */

exam_err_e
ngx_http_exam_digest_of(ngx_http_request_t *r, const char *name,
    uint8_t digest[EXAM_HASH_LEN], ngx_uint_t *has)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    *has = 0;
    len = ngx_strlen(name);

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

        if (h[i].key.len != len
            || ngx_strncasecmp(h[i].key.data, (u_char *) name, len) != 0)
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
