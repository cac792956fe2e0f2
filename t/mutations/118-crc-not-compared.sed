# a damaged line of the journal is taken
# file: core/exam_journal.c
# test: unit/journal
/^exam_record_parse/,/^}/s/if (memcmp(line.data, crc, EXAM_RECORD_CRC) != 0) {/if (0) {/
