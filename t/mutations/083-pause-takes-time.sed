# a running pause takes the time of the exam
# file: core/exam_state.c
# test: unit/state
/^exam_state_own_end/,/^}/s/return v->own_end + (now - v->paused_at);/return v->own_end;/
