# Bodies that are not what they should be, on each endpoint that reads JSON:
# malformed, truncated, deep, oversized, of wrong types and bad UTF-8; and good
# ones that arrive in every way HTTP knows (design, section 3; limits in 1).

use strict;
use warnings;

use lib 't/lib';

use Test::More;

use Exam;
use Exam::Api qw(problem is_problem raw_request);

my $code = $Exam::Api::Code;
my %students = map { $_ => { code => $code } } map { sprintf 'S%03d', $_ }
               1 .. 60;

Exam::load_exam('30', students => \%students);

my $nginx = Exam::server(http => Exam::http_lines(exam_heartbeat_rate => '0'),
                         allow => ['client sent invalid chunked body']);
my $api = Exam::Api->new($nginx);
my $i = 1;

sub token { return $api->login('30', sprintf 'S%03d', $i++)->{json}{token} }

my $token = token();

# per endpoint: a good body with a place for one member more, and its limit

my %endpoint = (
    login => ['/api/v1/login', sub {
        qq({"exam":"30","student":"S060","code":"$code"$_[0]}) }, 16384],
    heartbeat => ['/api/v1/heartbeat', sub { qq({"seq":1$_[0]}) }, 32768],
    logout => ['/api/v1/logout', sub {
        '{"recorded":{"screen":1}' . $_[0] . '}' }, 16384],
);

# A good logout ends its session, so it has one of its own each time.

sub send_to {
    my ($what, $body, $good) = @_;

    return $api->post($endpoint{$what}[0], $body,
                      $good && $what eq 'logout' ? token() : $token);
}

for my $what (sort keys %endpoint) {
    my ($path, $with, $limit) = @{ $endpoint{$what} };

    my $good = sub {
        my ($more, $name) = @_;
        my $res = send_to($what, $with->($more), 1);

        is($res->{status}, 200, "$what: $name") or diag($res->{content});
    };

    my $bad = sub {
        my ($body, $status, $error, $name) = @_;
        is_problem(send_to($what, $body), $status, $error, "$what: $name");
    };

    # malformed and truncated: each prefix of a good body

    my $body = $with->(',"x":["\u00e9\n",-1.5e3,null,true,{}]');
    my $wrong = join '; ', map {
        my $why = problem(send_to($what, substr $body, 0, $_), 400, 'bad_json');
        $why ? "$_: $why" : ();
    } $what eq 'logout' ? 1 : 0 .. length($body) - 1;

    is($wrong, '', "$what: truncated at each length");
    $good->(',"x":["\u00e9\n",-1.5e3,null,true,{}]', 'whole');

    $bad->($_, 400, 'bad_json', "malformed: $_")
        for 'x', '{', '}', "{'a':1}", '{"a":1,}', '{"a" 1}', '{a:1}',
            '{"a":01}', '{"a":+1}', '{"a":.5}', '{"a":NaN}', '{"a":nul}',
            '{"a":"\x"}', '{"a":"' . "\n" . '"}', '{}{}', '{} x', '{"a":[1,]}',
            "\0", "{}\0", '// {}', "\xef\xbb\xbf{}";

    $bad->($_, 400, 'bad_type', "of another type: $_")
        for '[]', '"x"', '1', 'true', 'null', '[[{}]]';

    # UTF-8

    $bad->($with->(',"x":"' . $_->[1] . '"'), 400, 'bad_utf8', $_->[0])
        for ['a lone byte', "\xff"], ['a cut sequence', "\xc3"],
            ['an overlong slash', "\xc0\xaf"], ['a surrogate', "\xed\xa0\x80"],
            ['beyond Unicode', "\xf4\x90\x80\x80"], ['latin 1', "M\xfcller"];

    # depth: the body's own object is the first level

    $good->(',"x":' . '[' x 7 . ']' x 7, '8 levels');
    $bad->($with->(',"x":' . '[' x 8 . ']' x 8), 400, 'too_deep', '9 levels');
    $bad->($with->(',"x":' . '{"a":' x 8 . '1' . '}' x 8), 400, 'too_deep',
           '9 levels of objects');
    $bad->('{"x":' . '[' x 10000, 400, 'too_deep',
           '10,000 levels, never closed');

    # size

    my $fill = sub {
        my ($size) = @_;
        my $rest = $size - length $with->(',"x":""');
        return ',"x":"' . 'a' x $rest . '"';
    };

    $good->($fill->($limit), "$limit bytes");
    $bad->($with->($fill->($limit + 1)), 413, 'too_large', 'a byte over');
    $bad->($with->($fill->(10 * $limit)), 413, 'too_large', 'far over');

    # many small values are no attack

    $good->(',"x":[' . join(',', (1) x (($limit - 300) / 2)) . ']',
            'thousands of values');
    $good->(',' . join(',', map { qq("k$_":$_) } 1 .. 800),
            'hundreds of members');

    # escapes may blow a string up, and it is still small

    $good->(',"x":"' . '\u0061' x 2000 . '"', 'an escaped string');

    # the connection goes on after all of this

    is($api->get('/health')->{status}, 200, "$what: and nginx lives");
}

# ---- members given twice: the last one counts

is($api->post('/api/v1/login', '{"exam":"none","exam":"30","student":"S059",'
              . '"code":"1","code":"' . $code . '"}')->{status}, 200,
   'the last of two');
is_problem($api->post('/api/v1/login', '{"exam":"\ud800","student":"S059",'
                      . '"code":"' . $code . '"}'), 401,
           'invalid_credentials', 'half a surrogate pair names nobody');
is_problem($api->post('/api/v1/login', '{"exam":"30","exam":7,'
                      . '"student":"S059","code":"' . $code . '"}'),
           400, 'bad_type', 'each of two is looked at');

for my $member (qw(exam student code)) {
    my %body = (exam => '30', student => 'S059', code => $code);

    for my $value (1, [], {}, \1) {
        my $name = ref $value ? ref $value : $value;
        is_problem($api->post('/api/v1/login', { %body, $member => $value }),
                   400, 'bad_type', "$member: $name");
    }

    is_problem($api->post('/api/v1/login', { %body, $member => undef }),
               400, 'missing_member', "$member: null");
    delete $body{$member};
    is_problem($api->post('/api/v1/login', \%body), 400, 'missing_member',
               "$member: not there");
}

# ---- the ways of a body: all at once, in pieces, chunked

$token = token();

my @auth = ("Authorization: Bearer $token", 'Content-Type: application/json');
my $beat = '{"seq":77,"state":{"recorder":"recording","focus":true}}';

sub chunked {
    my ($body, $size) = @_;

    return join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
                $body =~ /(.{1,$size})/gs) . "0\r\n\r\n";
}

sub is_taken {
    my ($pieces, $name) = @_;

    my ($res) = $api->raw($pieces);
    is($res->{status}, 200, $name) or diag($res->{content} // 'nothing');
}

my $request = raw_request('POST', '/api/v1/heartbeat', \@auth, $beat);
my $head = length($request) - length($beat);

is_taken($request, 'header and body in one packet');
is_taken([substr($request, 0, $head), substr($request, $head)],
         'header, then body');
is_taken([map { substr $request, $_ * 40, 40 } 0 .. length($request) / 40],
         'in pieces of 40 bytes');
is_taken([substr($request, 0, $head + 10), substr($request, $head + 10)],
         'cut within the body');
is_taken([substr($request, 0, -1), substr($request, -1)],
         'without its last byte at first');

my $head_chunked = raw_request('POST', '/api/v1/heartbeat',
                               [@auth, 'Transfer-Encoding: chunked'], '');

is_taken($head_chunked . chunked($beat, 10), 'chunked, in one packet');
is_taken([$head_chunked, chunked($beat, 7)], 'chunked, header first');
is_taken([$head_chunked, map { "$_" } chunked($beat, 20) =~ /(.{1,9})/gs],
         'chunked, in pieces');

my $large = '{"seq":78,"x":"' . 'a' x 30000 . '"}';

is_taken($head_chunked . chunked($large, 4096), '30 KB chunked');
is_taken([raw_request('POST', '/api/v1/heartbeat', \@auth, $large)
          =~ /(.{1,10000})/gs], '30 KB in four pieces');

# over the limit, counted as it arrives

my $over = '{"seq":78,"x":"' . 'a' x 40000 . '"}';

for my $size (100, 4096, 50000) {
    my ($res) = $api->raw($head_chunked . chunked($over, $size));
    is_problem($res, 413, 'too_large', "40 KB in chunks of $size");
}

my ($endless) = $api->raw([$head_chunked, ("1000\r\n" . 'a' x 4096 . "\r\n")
                                          x 12]);
is_problem($endless, 413, 'too_large', 'chunks without an end');

my ($broken) = $api->raw($head_chunked . "zz\r\n{}\r\n");
is_problem($broken, 400, 'bad_request', 'broken chunks');

# ---- a lying length

my ($res) = $api->raw(raw_request('POST', '/api/v1/heartbeat',
    [@auth, 'Content-Length: ' . (length($beat) - 3)], $beat));
is_problem($res, 400, 'bad_json', 'a length that is too small');

is_problem($api->raw(raw_request('POST', '/api/v1/heartbeat',
                                 [@auth, "Content-Length: $_"], $beat)),
           400, 'bad_request', "Content-Length: $_")
    for '-1', '1x', '99999999999999999999';
is_problem($api->raw(raw_request('POST', '/api/v1/heartbeat',
                                 [@auth, 'Content-Length: 99999999'], '{')),
           413, 'too_large', 'a length over the limit, before the body');

# a client that goes away in the middle leaves nothing behind

my $before = $api->metric('heartbeats_total');

for (1 .. 3) {
    my $sock = $api->connect;
    $sock->syswrite(substr $request, 0, $head + 10);
    close $sock;
}

is($api->metric('heartbeats_total'), $before, 'half a body is no heartbeat');

# ---- HTTP/2, where curl speaks it without TLS

SKIP: {
    skip 'no curl with HTTP/2', 4
        if `curl --version 2>/dev/null` !~ /^Features:.*\bHTTP2\b/m;

    my $h2 = Exam::Api->new(Exam::server(
        main => '', server => Exam::server_lines(), listen => ' http2',
        http => Exam::http_lines(exam_heartbeat_rate => '0')));
    my $file = Exam::dir() . '/body';

    my $curl = sub {
        my ($body, @more) = @_;

        Exam::spew($file, $body);

        my ($rc, $out) = Exam::run('curl', '-s', '--http2-prior-knowledge',
            '-w', '\n%{http_version} %{http_code}', '-H', $auth[0],
            '--data-binary', "\@$file", @more,
            "$h2->{url}/api/v1/heartbeat");

        return $out;
    };

    like($curl->($beat), qr/"server_time":.*\n2 200\z/s, 'HTTP/2');
    like($curl->($large), qr/"server_time":.*\n2 200\z/s, 'HTTP/2, 30 KB');

    # curl of Debian 12 may lose an answer that comes before it has sent all

    my $refused = '';

    for (1 .. 20) {
        $refused = $curl->($over);
        last if $refused =~ /413\z/;
    }

    like($refused, qr/"code":"too_large".*\n2 413\z/s,
         'HTTP/2, over the limit');
    like($curl->('{"seq":'), qr/"code":"bad_json".*\n2 400\z/s,
         'HTTP/2, truncated');
}

unlike(Exam::slurp($nginx->{error_log}), qr/recorder|aaaa/,
       'no body in the log');

done_testing();
