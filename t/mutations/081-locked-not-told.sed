# a locked candidate is not told so
# file: core/exam_state.c
# test: unit/state
s/(v->flags & (EXAM_FLAG_LOCKED | EXAM_FLAG_SUSPENDED)) != 0/(v->flags \& EXAM_FLAG_SUSPENDED) != 0/
