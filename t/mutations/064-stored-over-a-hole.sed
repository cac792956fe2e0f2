# stored advances over a number that is missing
# file: core/exam_script.c
# test: unit/script_flush
s/if v ~= 'stored' and v ~= 'lost' then break end/if v ~= 'stored' and v ~= 'lost' and n > 0 then break end/
