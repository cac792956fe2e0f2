# a refill forgets what was given up for lost
# file: service/exam_live_refill.c
# test: t/service/030-refill.t
/^exam_live_refill_exam/,/^}/s/"FROM lost_segments WHERE exam = ? "/"FROM lost_segments WHERE exam = ? AND n < 0 "/
