# two hashed at once count half of their length
# file: core/exam_sha256_two.c
# test: unit/sha256
/^exam_sha256_count/,/^}/s/(uint64_t) len << 3/(uint64_t) len << 2/
