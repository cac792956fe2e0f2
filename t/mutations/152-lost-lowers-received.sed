# what was received becomes lost
# file: core/exam_script.c
# test: unit/script_flush
s/lost = 2, received = 3/lost = 3, received = 2/
