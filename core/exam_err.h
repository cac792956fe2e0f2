
/*
 * Error codes of the whole system: one list that generates the enum, the HTTP
 * status and the stable `code` of problem+json (DESIGN 3).  Core functions
 * return exam_err_e; the module maps it to a reply in one place, the worker and
 * the tools to text.  No state, safe in every process and thread.
 */


#ifndef EXAM_ERR_H_INCLUDED
#define EXAM_ERR_H_INCLUDED


#include <stddef.h>


/* name, HTTP status, stable code, title */

#define EXAM_ERR_MAP(X)                                                       \
    X(OK,                 200, "ok", "OK")                                    \
    X(BAD_REQUEST,        400, "bad_request", "Bad request")                  \
    X(BAD_JSON,           400, "bad_json", "Body is not valid JSON")          \
    X(BAD_UTF8,           400, "bad_utf8", "Body is not valid UTF-8")         \
    X(TOO_DEEP,           400, "too_deep", "JSON is nested too deeply")       \
    X(BAD_TYPE,           400, "bad_type", "A member has a wrong type")       \
    X(BAD_VALUE,          400, "bad_value", "A member has a bad value")       \
    X(MISSING_MEMBER,     400, "missing_member", "A member is missing")       \
    X(BAD_DIGEST,         400, "bad_digest", "Malformed digest field")        \
    X(BAD_ARGUMENT,       400, "bad_argument", "Bad query argument")          \
    X(BAD_UPLOAD_HEADER,  400, "bad_upload_header",                           \
      "Upload-Offset, -Length or -Complete is bad or missing")                \
    X(BAD_METADATA,       400, "bad_metadata", "Malformed Upload-Metadata")   \
    X(BAD_CHECKSUM,       400, "bad_checksum",                                \
      "Unknown algorithm or malformed Upload-Checksum")                       \
    X(BAD_FORM,           400, "bad_form", "Malformed multipart/form-data")   \
    X(UPLOAD_LENGTH,      400, "upload_length",                               \
      "Lengths of the upload do not agree")                                   \
    X(UPLOAD_COMPLETED,   400, "upload_completed",                            \
      "Upload is already complete")                                           \
    X(TOKEN_MISSING,      401, "token_missing", "No bearer token")            \
    X(TOKEN_INVALID,      401, "token_invalid", "Token is not valid")         \
    X(TOKEN_EXPIRED,      401, "token_expired", "Token has expired")          \
    X(INVALID_CREDENTIALS, 401, "invalid_credentials",                        \
      "Exam, student or code is wrong")                                       \
    X(FORBIDDEN,          403, "forbidden", "Forbidden")                      \
    X(EXAM_NOT_OPEN,      403, "exam_not_open", "Exam is not open")           \
    X(EXAM_OVER,          403, "exam_over", "Exam is over")                   \
    X(STUDENT_SUSPENDED,  403, "student_suspended", "Student is suspended")   \
    X(SESSION_ENDED,      403, "session_ended", "Session has ended")          \
    X(UPLOAD_CLOSED,      403, "upload_closed", "Uploads are closed")         \
    X(NOT_FOUND,          404, "not_found", "Not found")                      \
    X(UPLOAD_NOT_FOUND,   404, "upload_not_found", "No such upload")          \
    X(METHOD_NOT_ALLOWED, 405, "method_not_allowed", "Method not allowed")    \
    X(REQUEST_TIMEOUT,    408, "request_timeout", "Request timed out")        \
    X(ALREADY_LOGGED_IN,  409, "already_logged_in",                           \
      "Another session is active")                                            \
    X(SEGMENT_CONFLICT,   409, "segment_conflict",                            \
      "Segment exists with other content")                                    \
    X(OFFSET_MISMATCH,    409, "offset_mismatch",                             \
      "Offset is not the one of the upload")                                  \
    X(UPLOAD_GONE,        410, "upload_gone", "Upload is no longer there")    \
    X(LENGTH_REQUIRED,    411, "length_required", "Length required")          \
    X(BAD_VERSION,        412, "bad_version",                                 \
      "Protocol version is not supported")                                    \
    X(TOO_LARGE,          413, "too_large", "Body is too large")              \
    X(URI_TOO_LONG,       414, "uri_too_long", "Request target is too long")  \
    X(UNSUPPORTED_TYPE,   415, "unsupported_type", "Unsupported media type")  \
    X(DIGEST_MISMATCH,    422, "digest_mismatch", "Digest does not match")    \
    X(EMPTY_SEGMENT,      422, "empty_segment", "Segment is empty")           \
    X(SEGMENT_NUMBER,     422, "segment_number",                              \
      "Segment number is beyond the limits")                                  \
    X(UPLOAD_BUSY,        423, "upload_busy", "Upload is busy")               \
    X(RATE_LIMITED,       429, "rate_limited", "Too many requests")           \
    X(TOO_MANY_ATTEMPTS,  429, "too_many_attempts", "Too many attempts")      \
    X(HEADERS_TOO_LARGE,  431, "headers_too_large",                           \
      "Request header is too large")                                          \
    X(CHECKSUM_MISMATCH,  460, "checksum_mismatch", "Checksum Mismatch")      \
    X(INTERNAL,           500, "internal", "Internal error")                  \
    X(NOT_IMPLEMENTED,    501, "not_implemented", "Not implemented")          \
    X(BAD_GATEWAY,        502, "bad_gateway", "Bad gateway")                  \
    X(UNAVAILABLE,        503, "unavailable", "Not available now")            \
    X(REDIS_UNAVAILABLE,  503, "redis_unavailable", "Redis is unavailable")   \
    X(ROSTER_LOADING,     503, "roster_loading", "Roster is being loaded")    \
    X(JOURNAL_FULL,       503, "journal_full", "No space for the journal")    \
    X(OVERLOADED,         503, "overloaded", "Server is overloaded")          \
    X(TOO_MANY_UPLOADS,   503, "too_many_uploads", "Too many open uploads")   \
    X(GATEWAY_TIMEOUT,    504, "gateway_timeout", "Gateway timed out")        \
    X(HTTP_VERSION,       505, "http_version", "HTTP version not supported")  \
    X(DISK_FULL,          507, "disk_full", "No space on the spool")          \
    X(QUOTA,              507, "quota", "Quota of this student is used up")


#define EXAM_ERR_ENUM(name, status, code, title)  EXAM_ERR_##name,

typedef enum {
    EXAM_ERR_MAP(EXAM_ERR_ENUM)
    EXAM_ERR_MAX
} exam_err_e;

#undef EXAM_ERR_ENUM

#define EXAM_OK  EXAM_ERR_OK


typedef struct {
    int          status;        /* HTTP status */
    const char  *code;          /* stable, documented */
    const char  *title;
} exam_err_info_t;


#if defined(__GNUC__)
#define EXAM_MUST_CHECK  __attribute__((warn_unused_result))
#else
#define EXAM_MUST_CHECK
#endif


/*
 * Never NULL; an err out of range is answered as EXAM_ERR_INTERNAL.  The title
 * is fit for a reason phrase too.
 */

const exam_err_info_t *exam_err_info(exam_err_e err);

/* the `type` of problem+json: a registered one, else "about:blank" */

const char *exam_err_type(exam_err_e err);

/*
 * The `code` of an error as scripts return it; EXAM_ERR_INTERNAL when there is
 * none such ("ok" is none).
 */

exam_err_e exam_err_by_code(const char *code, size_t len);

/* nginx's own statuses: the first entry with that status, else by class */

exam_err_e exam_err_by_status(int status);


#endif /* EXAM_ERR_H_INCLUDED */
