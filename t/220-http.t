# How the replies fit HTTP: the short cut of the heartbeat and the cases where
# it must not be taken, pipelining, keep-alive, HTTP/1.0, Expect, HEAD.

use strict;
use warnings;

use lib 't/lib';

use Test::More;

use Exam;
use Exam::Api qw(is_problem raw_request);

my $code = $Exam::Api::Code;

Exam::load_exam('30', students => { map { $_ => { code => $code } }
                                    'S001' .. 'S009' });

sub server {
    my ($location, $http, %opt) = @_;

    my $lines = Exam::slurp("$Exam::Process::Root/nginx-conf/api.inc");

    $lines =~ s/(exam +heartbeat;)/$1\n    $location/;
    return Exam::Api->new(Exam::server(server => $lines, %opt,
        http => Exam::http_lines(exam_heartbeat_rate => '0',
                                 exam_poll_rate => '0') . ($http // '')));
}

my $api = server('');
my $token = $api->login('30', 'S001')->{json}{token};
my @auth = ("Authorization: Bearer $token");
my $n = 0;

sub beat {
    my (@headers) = @_;

    return raw_request('POST', '/api/v1/heartbeat', [@auth, @headers],
                       sprintf '{"seq":%d}', $n++);
}

# ---- the short cut gives what nginx's own way gives

my ($direct) = $api->raw(beat());
my @names = map { lc } $direct->{header} =~ /^([\w-]+):/mg;

is($direct->{status}, 200, 'a heartbeat by the short cut');
is_deeply(\@names, [qw(server date content-type connection cache-control
                       content-length)], 'its headers, each once')
    or diag($direct->{header});
is($direct->{headers}{connection}, 'keep-alive', 'keep-alive');
is($direct->{headers}{'content-length'}, length $direct->{content},
   'its length');
like($direct->{headers}{date}, qr/^\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT$/,
     'its date');

my $plain = server("add_header X-Test \"a b\" always;\n    expires -1;");
my ($normal) = $plain->raw(beat());

is($normal->{headers}{'x-test'}, 'a b', 'add_header of the operator is there');
ok($normal->{headers}{expires}, 'and so is expires');
is_deeply([sort keys %{ $normal->{json} }], [sort keys %{ $direct->{json} }],
          'with the same reply');
is($normal->{headers}{$_}, $direct->{headers}{$_}, "and the same $_")
    for qw(server content-type connection);
is((beat_of($plain, 'x'))[0]{headers}{'x-test'}, 'a b',
   'on a refusal, too');

sub beat_of {
    my ($of, $with) = @_;

    return $of->raw(raw_request('POST', '/api/v1/heartbeat',
                                ["Authorization: Bearer $with"], '{"seq":1}'));
}

for my $case (
    # lines of the location, of http, what must be in the header
    ['add_header X-One 1;', '', qr/^X-One: 1\r$/m, 'add_header'],
    ['', "    add_header X-Two 2;\n", qr/^X-Two: 2\r$/m,
     'add_header of the http level'],
    ['add_trailer X-Three 3;', '', qr/^Transfer-Encoding: chunked\r$/m,
     'add_trailer'],
    ['expires 1h;', '', qr/^Expires: /m, 'expires'],
    ['keepalive_timeout 75 60;', '', qr/^Keep-Alive: timeout=60\r$/m,
     'keepalive_timeout with a header'],
    ['', "    server_tokens off;\n", qr/^Server: nginx\r$/m,
     'server_tokens off'],
    ['', "    server_tokens build;\n", qr/^Server: nginx\/[\d.]+.*\r$/m,
     'server_tokens build'],
    ['keepalive_timeout 0;', '', qr/^Connection: close\r$/m,
     'keepalive_timeout 0'],
    ['chunked_transfer_encoding off;', '', qr/^Content-Length: \d+\r$/m,
     'anything else'])
{
    my ($location, $http, $header, $name) = @$case;
    my $of = server($location, $http);
    my ($res) = $of->raw(beat());

    is($res->{status}, 200, "$name: a heartbeat");
    like($res->{header}, $header, "$name: is honoured");
    like($res->{content} // '', qr/"server_time":/, "$name: the reply");
    $of->nginx->stop('QUIT');
}

# the access log sees the reply as it is

my $log = Exam::dir() . '/access.log';
my $logged = server("access_log $log exam;",
    "    log_format exam '\$status \$bytes_sent \$body_bytes_sent "
    . "\$request_length';\n");
my $request = beat();
my ($res) = $logged->raw($request);
my $bytes = length($res->{header}) + 2 + length $res->{content};

is(Exam::wait_for { Exam::slurp($log) },
   "200 $bytes " . length($res->{content}) . ' ' . length($request) . "\n",
   'status, bytes and lengths of the access log');

# ---- Connection: close, HTTP/1.0

my $sock = $api->connect;
($res) = $api->raw(beat('Connection: close'), sock => $sock);
is($res->{headers}{connection}, 'close', 'Connection: close is answered so');
is($sock->sysread(my $rest, 1), 0, 'and the connection ends');

my $old = beat() =~ s{HTTP/1\.1}{HTTP/1.0}r;
$sock = $api->connect;
($res) = $api->raw($old, sock => $sock);
is($res->{status}, 200, 'HTTP/1.0');
is($res->{headers}{connection}, 'close', 'closes');
is($sock->sysread($rest, 1), 0, 'indeed');

my $kept = beat('Connection: keep-alive') =~ s{HTTP/1\.1}{HTTP/1.0}r;
$sock = $api->connect;
is(($api->raw($kept, sock => $sock))[0]{headers}{connection}, 'keep-alive',
   'HTTP/1.0 with keep-alive');
is(($api->raw(beat(), sock => $sock))[0]{status}, 200, 'which holds');

# ---- pipelined

my @answers = $api->raw(join('', map { beat() } 1 .. 50), n => 50);
is(scalar @answers, 50, '50 heartbeats in one go, 50 answers');
is(scalar(grep { $_->{status} != 200 } @answers), 0, 'all of them 200');

my $me = raw_request('GET', '/api/v1/me', \@auth);
my $bad = raw_request('POST', '/api/v1/heartbeat', \@auth, '{"seq":');
my $none = raw_request('POST', '/api/v1/heartbeat', [], '{"seq":1}');
my $post = raw_request('POST', '/health', [], 'x' x 100);
my $head = raw_request('GET', '/health', []);

@answers = $api->raw(join('', beat(), $me, $bad, $head, $none, $post, $me,
                          beat()), n => 8);
is(join(' ', map { $_->{status} } @answers), '200 200 400 200 401 405 200 200',
   'a mixture, in the order of the requests');

# the body of one request is not taken for the next

my $inner = beat();
my $outer = raw_request('POST', '/api/v1/login', [], $inner);
@answers = $api->raw($outer . $head, n => 2);
is(join(' ', map { $_->{status} } @answers), '400 200',
   'a body that looks like a request stays a body');
@answers = $api->raw(raw_request('POST', '/api/v1/nothing', [], $inner)
                     . $head, n => 2);
is(join(' ', map { $_->{status} } @answers), '404 200',
   'a body that nobody wants is thrown away');
@answers = $api->raw(raw_request('GET', '/api/v1/me',
                                 [@auth, 'Content-Length: '
                                         . length $inner], $inner) . $head,
                     n => 2);
is(join(' ', map { $_->{status} } @answers), '200 200', 'a GET with a body');

# ---- keep-alive after errors

$sock = $api->connect;

for my $case (['a bad body', $bad, 400], ['no token', $none, 401],
              ['a method', raw_request('PUT', '/api/v1/me', \@auth, 'x'), 405],
              ['no path', raw_request('POST', '/api/x', [], 'x' x 500), 404],
              ['a wrong code', raw_request('POST', '/api/v1/login', [],
                '{"exam":"30","student":"S001","code":"1"}'), 401],
              ['a logout without a token',
               raw_request('POST', '/api/v1/logout', [], '{}'), 401])
{
    my ($name, $text, $status) = @$case;

    is(($api->raw($text, sock => $sock))[0]{status}, $status, $name);
    is(($api->raw(beat(), sock => $sock))[0]{status}, 200,
       "a heartbeat after it, on the same connection");
}

# a body that is split, then a pipelined request behind it

my $split = beat();
@answers = $api->raw([substr($split, 0, -4), substr($split, -4) . beat()],
                     n => 2);
is(join(' ', map { $_->{status} } @answers), '200 200',
   'a request behind a split body');

# ---- Expect: 100-continue

my $expect = beat('Expect: 100-continue');
my ($header, $body) = $expect =~ /\A(.*?\r\n\r\n)(.*)\z/s;

$sock = $api->connect;
($res) = $api->raw($header, sock => $sock);
is($res->{status}, 100, 'a heartbeat is asked to go on');
is(($api->raw($body, sock => $sock))[0]{status}, 200, 'and is answered');

($res) = $api->raw(raw_request('POST', '/api/v1/login',
                   ['Expect: 100-continue', 'Content-Length: 99999'], ''));
is_problem($res, 413, 'too_large', 'too large: refused without asking');

($res) = $api->raw(raw_request('POST', '/health',
                   ['Expect: 100-continue', 'Content-Length: 10'], ''));
is_problem($res, 405, 'method_not_allowed', 'a method: refused likewise');
is($res->{headers}{connection}, 'close',
   'and closed, for nobody knows whether the body comes');

@answers = $api->raw($expect);
ok($answers[0]{status} == 200 || $answers[0]{status} == 100,
   'a body that is sent without waiting');

# ---- HEAD

for my $path ('/health', '/ready', '/status', '/metrics', '/api/v1/me') {
    my ($get) = $api->raw(raw_request('GET', $path, \@auth));
    my @two = $api->raw(raw_request('HEAD', $path, \@auth), head => 1);

    is($two[0]{status}, 200, "HEAD $path");
    is($two[0]{headers}{'content-type'}, $get->{headers}{'content-type'},
       "HEAD $path: as GET");
}

# ---- odd but right

is(($api->raw(beat('Content-Type: text/plain')))[0]{status}, 200,
   'whatever the content type');
is(($api->raw("\r\n\r\n" . beat()))[0]{status}, 200,
   'empty lines before the request');
is(($api->raw(beat() =~ s{/api/v1/heartbeat}{/api/v1/heartbeat?x=1}r))[0]
       {status}, 200, 'a query is ignored');
is(($api->raw(beat() =~ s{/api/v1/heartbeat}{/api/./v1//%68eartbeat}r))[0]
       {status}, 200, 'the path as nginx normalises it');
is(($api->raw(beat() =~ s{/api/v1/heartbeat}{http://t/api/v1/heartbeat}r))[0]
       {status}, 200, 'an absolute target');

# ---- a client that closes while Redis thinks

for my $what (raw_request('POST', '/api/v1/login', [],
                          qq({"exam":"30","student":"S002","code":"$code"})),
              $me, raw_request('POST', '/api/v1/logout', \@auth, '{}'))
{
    kill 'STOP', Exam::redis()->pid;

    my $gone = $api->connect;
    $gone->syswrite($what);
    $api->get('/health');
    close $gone;
    $api->get('/health');
    kill 'CONT', Exam::redis()->pid;
}

is($api->get('/health')->{status}, 200, 'clients that go away leave no trace');
ok(Exam::wait_for {
    $api->login('30', 'S003')->{status} == 200
}, 'and others are let in');

done_testing();
