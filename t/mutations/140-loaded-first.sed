# Redis is said to be filled before it is
# file: service/exam_live_refill.c
# test: t/worker/086-refill.t
/^exam_live_refill(/,/^}/s/rc = exam_live_list(db, &list);/(void) !exam_redis_do(redis, "SET " EXAM_KEY_LOADED " x"); &/
