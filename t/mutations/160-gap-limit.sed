# a gap begins too late
# file: core/exam_presence.c
# test: unit/presence
/^exam_gap_limit/,/^}/s/interval_ms + interval_ms \/ 2/interval_ms + interval_ms/
