# vi:ft=perl

# The test tools themselves: nginx starts with the module and the defaults of
# t/lib/Exam.pm, and answers.  When this file fails, no other tells anything.

use lib 't/lib';
use Test::Nginx::Socket;
use Exam;

repeat_each(2);

plan tests => repeat_each() * blocks() * 2;

run_tests();

__DATA__

=== TEST 1: the process serves
--- request
GET /health
--- response_body_like: ok
--- error_code: 200



=== TEST 2: an unknown path below the interface
--- request
GET /api/v1/nothing
--- response_body_like: "code" ?: ?"not_found"
--- error_code: 404
