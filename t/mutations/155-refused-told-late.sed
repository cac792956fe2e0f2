# a late word of a refused upload meets the next one
# file: core/exam_script.c
# test: unit/script_flush
s/return not was or was ~= 'stored' and by == upload/return not was or was ~= 'stored'/
