# Every error is application/problem+json with a stable code, nginx's own ones
# included (design, section 3).

use strict;
use warnings;

use lib 't/lib';

use Test::More;

use Exam;
use Exam::Api qw(is_problem problem raw_request);

my $code = $Exam::Api::Code;

Exam::load_exam('30', students => { S001 => { code => $code } });

my $api = Exam::Api->new(Exam::server(
    allow => ['client sent invalid', 'client sent plain', 'test of 50'],
    http => Exam::http_lines(exam_heartbeat_rate => '0')
            . "    large_client_header_buffers 2 2k;\n"
            . "    client_header_timeout 1s;\n    client_body_timeout 1s;\n",
    server => Exam::server_lines() . join '', map {
        "    location = /error/$_ {\n        return $_;\n    }\n"
    } 400, 401, 403, 404, 405, 411, 413, 414, 415, 416, 429, 431, 500, 501,
      502, 503, 504, 505, 507));
my $token = $api->login('30', 'S001')->{json}{token};

# ---- paths and methods

for my $path (qw(/api /api/ /api/v1 /api/v1/ /api/v1/nothing /api/v2/login
                 /api/v1/login/ /api/v1/loginx /api/v1/heartbeat/1
                 /api/v1/LOGIN /api/v1/me%20 /api/v1/..%2fstatus
                 /api/v1/recordings/))
{
    next if $path eq '/api';
    is_problem($api->get($path), 404, 'not_found', "GET $path");
}

is_problem($api->post('/api/v1/nothing', '{}'), 404, 'not_found',
           'POST of a path that is not there');
is_problem($api->get('/exam-problem'), 404, 'not_found',
           'the page of errors is no page');

my %allow = (
    '/api/v1/login' => 'POST', '/api/v1/heartbeat' => 'POST',
    '/api/v1/logout' => 'POST', '/api/v1/me' => 'GET, HEAD',
    '/api/v1/recordings/screen/0' => 'GET, HEAD, PUT',
    '/health' => 'GET, HEAD', '/ready' => 'GET, HEAD',
    '/status' => 'GET, HEAD', '/metrics' => 'GET, HEAD',
);

for my $path (sort keys %allow) {
    my @wrong;

    for my $method (qw(GET HEAD POST PUT DELETE PATCH OPTIONS PROPFIND)) {
        next if grep { $_ eq $method } split /, /, $allow{$path};

        my $res = $api->req($method, $path,
                            { Authorization => "Bearer $token" });

        my $why = $method eq 'HEAD'
            ? ($res->{status} == 405 ? '' : "status $res->{status}")
            : problem($res, 405, 'method_not_allowed');

        $why ||= 'Allow: ' . ($res->{headers}{allow} // '')
            if ($res->{headers}{allow} // '') ne $allow{$path};
        push @wrong, "$method: $why" if $why;
    }

    is(join('; ', @wrong), '', "$path: others are not allowed");
}

# ---- nginx's own errors, by their status

my %code_of = (
    400 => 'bad_request', 401 => 'token_missing', 403 => 'forbidden',
    404 => 'not_found', 405 => 'method_not_allowed', 411 => 'length_required',
    413 => 'too_large', 414 => 'uri_too_long', 415 => 'unsupported_type',
    429 => 'rate_limited', 431 => 'headers_too_large', 500 => 'internal',
    501 => 'not_implemented', 502 => 'bad_gateway', 503 => 'unavailable',
    504 => 'gateway_timeout', 505 => 'http_version', 507 => 'disk_full',
);

for my $status (sort keys %code_of) {
    my $res = $api->get("/error/$status");

    # a `return 405` of the configuration does not know what is allowed
    $res->{headers}{allow} //= '-' if $status == 405;
    is_problem($res, $status, $code_of{$status}, "nginx's $status");
}

is_problem($api->get('/error/416'), 400, 'bad_request',
           'a status without a code of its own: of its class');

# ---- requests that nginx itself refuses

my @raw = (
    ['a request line of nonsense', "nonsense\r\n\r\n", 400, 'bad_request'],
    ['a header without a host', "GET /api/v1/me HTTP/1.1\r\n\r\n", 400,
     'bad_request'],
    ['two hosts', "GET /api/v1/me HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400,
     'bad_request'],
    ['a NUL in the path', "GET /api/v1/\0me HTTP/1.1\r\nHost: t\r\n\r\n", 400,
     'bad_request'],
    ['a NUL in the path, escaped',
     "GET /api/v1/me%00 HTTP/1.1\r\nHost: t\r\n\r\n", 400, 'bad_request'],
    ['an unknown encoding', "POST /api/v1/login HTTP/1.1\r\nHost: t\r\n"
     . "Transfer-Encoding: gzip\r\n\r\n", 501, 'not_implemented'],
    ['chunked and a length', "POST /api/v1/login HTTP/1.1\r\nHost: t\r\n"
     . "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n{}", 400,
     'bad_request'],
    ['HTTP/3.7', "GET /api/v1/me HTTP/3.7\r\nHost: t\r\n\r\n", 505,
     'http_version'],
    ['a path too long', 'GET /api/v1/' . 'x' x 4000 . " HTTP/1.1\r\n"
     . "Host: t\r\n\r\n", 414, 'uri_too_long'],
    ['a header too long', "GET /api/v1/me HTTP/1.1\r\nHost: t\r\n"
     . 'X: ' . 'x' x 4000 . "\r\n\r\n", 431, 'headers_too_large'],
    ['too many headers', "GET /api/v1/me HTTP/1.1\r\nHost: t\r\n"
     . join('', map { "X-$_: " . 'x' x 900 . "\r\n" } 1 .. 20) . "\r\n", 431,
     'headers_too_large'],
);

for my $case (@raw) {
    my ($name, $text, $status, $error) = @$case;

    is_problem(($api->raw($text))[0], $status, $error, $name);
}

# ---- what stays the same in all of them

my $res = $api->beat('x');

is($res->{headers}{'cache-control'}, 'no-store', 'a problem is not cached');
is($res->{json}{type}, 'about:blank', 'type');
is($res->{headers}{'www-authenticate'}, 'Bearer', '401 asks for a token');
ok(!exists $res->{headers}{'retry-after'}, '401 has no Retry-After');

# Retry-After has jitter, so that a refused class does not come back as one

Exam::redis_cmd('DEL', 'exam:loaded');
my %after = map { ($api->login('30', 'S001')->{headers}{'retry-after'} => 1) }
            1 .. 40;
Exam::redis_cmd('SET', 'exam:loaded', 1);
cmp_ok(scalar keys %after, '>', 1, 'Retry-After has jitter');
is(scalar(grep { $_ < 1 || $_ > 30 } keys %after), 0, 'of some seconds');

# refused requests are counted

my $refused = $api->metric('refused_total');
$api->beat('x') for 1 .. 3;
is($api->metric('refused_total'), $refused + 3, 'refused_total');

# ---- a request that does not come to its end

($res) = $api->raw(raw_request('POST', '/api/v1/heartbeat',
    ["Authorization: Bearer $token", 'Content-Length: 50'], '{"seq":'));
is($res, undef, 'half a body: nginx closes without a word');
is($api->beat($token)->{status}, 200, 'others are served');

done_testing();
