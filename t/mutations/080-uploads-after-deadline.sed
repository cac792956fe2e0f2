# uploads are taken after the late deadline
# file: core/exam_state.c
# test: unit/state
s/return over ? EXAM_ERR_UPLOAD_CLOSED : EXAM_OK;/return EXAM_OK;/
