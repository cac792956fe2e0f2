# the last upload of a number stands in the ledger
# file: core/exam_script.c
# test: t/348-receiving.t
s/return rank\[state\] > (rank\[was\] or 0)/return rank[state] >= (rank[was] or 0)/
