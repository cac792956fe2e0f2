# an expired token is accepted
# file: core/exam_token.c
# test: unit/token
s/return now < claims->exp ? EXAM_OK : EXAM_ERR_TOKEN_EXPIRED;/return now < claims->exp ? EXAM_OK : EXAM_OK;/
