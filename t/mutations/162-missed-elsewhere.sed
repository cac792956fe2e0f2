# attempts outside of a gap explain it
# file: core/exam_presence.c
# test: unit/presence
/^exam_gap_missed/,/^}/s/at >= from && at <= to && /(at >= from || at <= to) \&\& /
