
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


/* without a content coding both fields are of the same bytes */

exam_err_e
ngx_http_exam_digest_whole(ngx_http_request_t *r,
    uint8_t digest[EXAM_HASH_LEN], ngx_uint_t *has)
{
    uint8_t     whole[EXAM_HASH_LEN];
    exam_err_e  err;
    ngx_uint_t  also;

    err = ngx_http_exam_digest(r, digest, has);
    if (err != EXAM_OK) {
        return err;
    }

    err = ngx_http_exam_digest_of(r, "Repr-Digest", whole, &also);

    if (err != EXAM_OK || !also) {
        return err;
    }

    if (*has && ngx_memcmp(digest, whole, EXAM_HASH_LEN) != 0) {
        return ngx_http_exam_tell(r, EXAM_ERR_DIGEST_MISMATCH,
                                  "Content-Digest and Repr-Digest differ");
    }

    *has = 1;
    ngx_memcpy(digest, whole, EXAM_HASH_LEN);

    return EXAM_OK;
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
            return ngx_http_exam_tell(r, EXAM_ERR_BAD_DIGEST, "%s", name);

        case EXAM_DIGEST_NONE:
            break;
        }
    }
}
