# a state of the ledger sinks
# file: core/exam_script.c
# test: unit/script_flush
s/return rank\[state\] > (rank\[was\] or 0)/return true/
