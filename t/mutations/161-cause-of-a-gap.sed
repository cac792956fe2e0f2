# a gap over a restart is laid to the candidate
# file: core/exam_presence.c
# test: unit/presence
/^exam_gap_cause/,/^}/s/born > from && born <= to/born > to \&\& born <= from/
