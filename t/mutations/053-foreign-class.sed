# a token of staff is accepted from a candidate
# file: core/exam_token.c
# test: unit/token
/^exam_key_of/,/^}/s/key->class == class$/(key->class == class || class == EXAM_KEY_CANDIDATE)/
