# vi:ft=perl

# Every endpoint once, and for every directive a wrong form that keeps nginx
# from starting, as blocks: so that they run under TEST_NGINX_USE_HUP and
# TEST_NGINX_USE_VALGRIND, too.  All forms and all answers are in the files
# that follow.

use lib 't/lib';
use Test::Nginx::Socket;
use Exam;

repeat_each(2);

plan tests => repeat_each() * blocks() * 2;

our $Token = Exam::token(exam => '30', student => 'S001', gen => 1000);

no_long_string();
run_tests();

__DATA__

=== TEST 1: login without a roster
--- request
POST /api/v1/login
{"exam":"30","student":"S001","code":"ABCD-EFGH-JKMN-PQRS"}
--- response_body_like: "code":"(roster_loading|redis_unavailable)"
--- error_code: 503



=== TEST 2: login with a member missing
--- request
POST /api/v1/login
{"exam":"30","student":"S001"}
--- response_body_like: "code":"missing_member"
--- error_code: 400



=== TEST 3: heartbeat
--- request
POST /api/v1/heartbeat
{"seq":1}
--- more_headers eval: "Authorization: Bearer $main::Token"
--- response_body_like: ^\{"server_time":\d+,"next_s":30,"ends_at":null,
--- error_code: 200



=== TEST 4: heartbeat without a token
--- request
POST /api/v1/heartbeat
{"seq":1}
--- response_body_like: "code":"token_missing"
--- error_code: 401



=== TEST 5: heartbeat by GET
--- request
GET /api/v1/heartbeat
--- response_headers
Allow: POST
--- error_code: 405



=== TEST 6: a recording of a wrong type
--- request
PUT /api/v1/recordings/screen/0
x
--- more_headers eval
"Authorization: Bearer $main::Token\nContent-Type: text/plain"
--- response_body_like: "code":"unsupported_type"
--- error_code: 415



=== TEST 7: a recording of an unknown kind
--- request
GET /api/v1/recordings/window/0
--- more_headers eval: "Authorization: Bearer $main::Token"
--- response_body_like: "code":"not_found"
--- error_code: 404



=== TEST 8: me
--- request
GET /api/v1/me
--- more_headers eval: "Authorization: Bearer $main::Token"
--- response_body_like: "student":\{"id":"S001"\}
--- error_code: 200



=== TEST 9: logout, refused for its body
--- request
POST /api/v1/logout
{"recorded":[]}
--- more_headers eval: "Authorization: Bearer $main::Token"
--- response_body_like: "code":"bad_type"
--- error_code: 400



=== TEST 10: ready
--- request
GET /ready
--- response_body_like: ^\{"ready":true,"degraded":\[
--- error_code: 200



=== TEST 11: status
--- request
GET /status
--- response_body_like: "heartbeats_total":\d+
--- error_code: 200



=== TEST 12: metrics
--- request
GET /metrics
--- response_body_like: (?m)^exam_heartbeats_total \d+$
--- error_code: 200



=== TEST 13: an event
--- request
POST /api/v1/events
{"events":[{"id":"e1","type":"focus","data":{"lost":true}}]}
--- more_headers eval: "Authorization: Bearer $main::Token"
--- response_body_like: ^\{"accepted":[01],"duplicates":[01]\}
--- error_code: 202



=== TEST 14: preflight
--- request eval: "POST /api/v1/preflight\n" . 'x' x 20000
--- more_headers eval: "Authorization: Bearer $main::Token"
--- response_body_like: ^\{"bytes":20000,"ms":\d+,
--- error_code: 200



=== TEST 15: a recording
--- request
PUT /api/v1/recordings/screen/1
webm
--- more_headers eval
"Authorization: Bearer $main::Token\nContent-Type: video/webm"
--- response_body_like: "bytes":4,"sha256":"\w{64}","state":"received"
--- error_code_like: ^20[01]$



=== TEST 16: a recording that is waited for too long
--- request
GET /api/v1/recordings/screen/2?wait_s=31
--- more_headers eval: "Authorization: Bearer $main::Token"
--- response_body_like: "code":"bad_argument"
--- error_code: 400



=== TEST 17: a recording that is lost
--- request
POST /api/v1/recordings/camera/1/lost
{"reason":"the disk was full"}
--- more_headers eval: "Authorization: Bearer $main::Token"
--- response_body_like: "state":"lost"
--- error_code: 200



=== TEST 18: exam
--- config
location / { exam nope; }
--- must_die
--- error_log
invalid endpoint "nope"



=== TEST 19: exam_zone
--- http_config
exam_zone exam;
--- config
--- must_die
--- error_log
invalid zone "exam"



=== TEST 20: exam_redis
--- http_config
exam_redis unix:;
--- config
--- must_die
--- error_log
no path in the unix domain socket in "unix:"



=== TEST 21: exam_redis_timeout
--- http_config
exam_redis_timeout soon;
--- config
--- must_die
--- error_log
"exam_redis_timeout" directive invalid value



=== TEST 22: exam_key_file
--- http_config
exam_key_file /nonexistent;
--- config
--- must_die
--- error_log
"/nonexistent" failed



=== TEST 23: exam_node
--- http_config
exam_node Node-1;
--- config
--- must_die
--- error_log
invalid node "Node-1"



=== TEST 24: exam_spool
--- http_config
exam_spool a;
exam_spool b;
--- config
--- must_die
--- error_log
"exam_spool" directive is duplicate



=== TEST 25: exam_kinds
--- http_config
exam_kinds Screen;
--- config
--- must_die
--- error_log
invalid or repeated kind "Screen"



=== TEST 26: exam_takeover
--- http_config
exam_takeover maybe;
--- config
--- must_die
--- error_log
invalid value "maybe"



=== TEST 27: exam_max_bytes
--- http_config
exam_max_bytes much;
--- config
--- must_die
--- error_log
"exam_max_bytes" directive invalid value



=== TEST 28: exam_heartbeat_rate
--- http_config
exam_heartbeat_rate 2r/h;
--- config
--- must_die
--- error_log
invalid rate "2r/h"



=== TEST 29: exam_journal_reserve
--- http_config
exam_journal_reserve 2;
exam_journal_reserve 3;
--- config
--- must_die
--- error_log
"exam_journal_reserve" directive



=== TEST 30: exam_events_rate
--- http_config
exam_events_rate fast;
--- config
--- must_die
--- error_log
invalid rate
