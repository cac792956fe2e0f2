# a session id of another student is accepted
# file: core/exam_token.c
# test: unit/token
s/if (exam_sid_hash(claims->sid) != exam_id_hash(exam, student)) {/if (0) {/
