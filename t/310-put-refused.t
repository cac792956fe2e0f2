# What an upload is refused for: always before the body is asked for where the
# header tells it, always without a trace in the spool, and the connection or
# its end is clean.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256);
use MIME::Base64 qw(encode_base64);

use Exam;
use Exam::Wire;

my $spool = Exam::spool();
my $server = Exam::server(http => Exam::http_lines(
    exam_max_bytes => '1m', exam_max_segments => '150',
    exam_segment_window => '20', exam_kind_uploads => '2',
    exam_heartbeat_rate => '0'));
my $url = $server->url;

Exam::allow_errors(qr/client (?:intended to send|sent) .*chunked body/);

my $now = Exam::now_ms();

Exam::load_exam('30', students => { map { $_ => {} } 'S001' .. 'S009' });
Exam::load_exam('closed', state => 'closed', students => { S001 => {} },
                starts_at => $now - 7_200_000, ends_at => $now - 3_600_000);
Exam::load_exam('late', state => 'closed', students => { S001 => {} },
                starts_at => $now - 200_000_000, ends_at => $now - 90_000_000);
Exam::load_exam('old', state => 'archived', students => { S001 => {} });


sub path { return "/api/v1/recordings/$_[0]" }


sub fields {
    my (%more) = @_;

    my $token = delete $more{token}
        // Exam::token(exam => '30', student => 'S001', gen => 1000);
    my %fields = ('Content-Type' => 'video/webm', 'Content-Length' => 5,
                  Authorization => "Bearer $token", %more);

    return [map { defined $fields{$_} ? ($_, $fields{$_}) : () }
            sort keys %fields];
}


sub digest { return 'sha-256=:' . encode_base64(sha256($_[0]), '') . ':' }

sub files {
    my @files = sort map { s{^\Q$spool\E/}{}r } glob("$spool/$_[0]");
    return @files;
}

sub status { return Exam::request('GET', "$url/status")->{json} }

sub eventually {
    my ($true) = @_;
    return Exam::wait_for { $true->() } 10;
}


sub gone {
    return eventually(sub { status()->{active_uploads} == 0 });
}


# A session's first request lets the node ask Redis: for the exam's state, and
# for `stored`, which a login would have written.

sub learn {
    my ($token, $stored) = @_;

    return Exam::wait_for {
        my $me = Exam::request('GET', "$url/api/v1/me",
                               { Authorization => "Bearer $token" });
        $me->{status} == 403
            || $me->{json}{exam}{state}
               && (!$stored || defined $me->{json}{stored}{screen});
    } 10;
}


# ---- by the header alone

Exam::redis_cmd('HSET', 'exam:{30}:stored',
                'S001:' . Exam::sid('30', 'S001') . ':screen', -1);
learn(Exam::token(exam => '30', student => 'S001', gen => 1000), 1);

my $good = digest('hello');

for (
    ['no token', 'screen/0', { Authorization => undef }, 401,
     'token_missing'],
    ['a forged token', 'screen/0',
     { token => Exam::token(exam => '30', student => 'S001',
                            key => '99' x 32) }, 401, 'token_invalid'],
    ['an expired token', 'screen/0',
     { token => Exam::token(exam => '30', student => 'S001', exp => 1000) },
     401, 'token_expired'],
    ['a staff token', 'screen/0',
     { token => Exam::token(exam => '30', student => 'S001', kid => 's1',
                            key => $Exam::KeyStaff) }, 401, 'token_invalid'],

    (map { ["path $_", $_, {}, 404, 'not_found'] }
     'desk/0', 'file/0', 'Screen/0', 'screen/', 'screen/01', 'screen/-1',
     'screen/+1', 'screen/1e3', 'screen/1000000', 'screen/0/', 'screen/0/found',
     'screen/0%2f1', 'screen', 'screen/0x1', '/0'),

    (map { ["type $_", 'screen/0', { 'Content-Type' => $_ }, 415,
            'unsupported_type'] }
     'text/plain', 'video/avi', 'video/webmx', 'video', 'audio/webm', ''),
    ['no type', 'screen/0', { 'Content-Type' => undef }, 415,
     'unsupported_type'],

    ['a body over the limit', 'screen/0', { 'Content-Length' => 1048577 },
     413, 'too_large'],
    ['a length of 19 digits', 'screen/0',
     { 'Content-Length' => '9223372036854775807' }, 413, 'too_large'],
    ['an empty body', 'screen/0', { 'Content-Length' => 0 }, 422,
     'empty_segment'],
    ['no body', 'screen/0', { 'Content-Length' => undef }, 422,
     'empty_segment'],
    ['number beyond the limit', 'screen/150', {}, 422, 'segment_number'],
    ['number beyond the window', 'screen/20', {}, 422, 'segment_number'],

    (map { ["digest $_", 'screen/0', { 'Content-Digest' => $_ }, 400,
            'bad_digest'] }
     'sha-256', 'sha-256=', 'sha-256=abc', 'sha-256=:abc:', "$good,",
     "$good x", 'sha-256=:' . 'A' x 44 . ':', 'SHA-256=:' . 'A' x 43 . '=:',
     'sha-256=:' . 'A' x 42 . '-=:', 'md5=:x', "$good, sha-512=1",
     "$good;", "$good;a=\"b", ';', '=', "md5=:aaaa: $good"),

    (map { ["arguments $_", "screen/0?$_", {}, 400, 'bad_argument'] }
     'started_at=', 'started_at=-1', 'started_at=1.5', 'started_at=x',
     'started_at=9007199254740992', 'duration_ms=01', 'duration_ms=1e3',
     'session=', 'session=xyz', 'session=' . 'g' x 32, 'session=' . 'a' x 31),
    ['another student\'s session',
     'screen/0?session=' . Exam::sid('30', 'S002'), {}, 404, 'not_found'],
    ['a session nobody was given',
     'screen/0?session=' . Exam::sid('30', 'S001', 77), {}, 404, 'not_found'],
) {
    my ($what, $path, $change, $status, $code) = @$_;

    my $c = Exam::Wire->new($server);

    $c->head(PUT => path($path), fields(Expect => '100-continue', %$change));

    my $res = $c->response;

    is $res->{status}, $status, "$what: $status";
    is $res->{code}, $code, "$what: $code";
    is $res->{continued}, 0, "$what: the body is not asked for";
    is $res->{headers}{'content-type'}, 'application/problem+json',
        "$what: as problem+json" if $status != 404;

    # whether the body still comes is the client's choice
    ok $c->closed, "$what: the connection ends"
        if !exists $change->{'Content-Length'} || $change->{'Content-Length'};
    $c->close;
}

is_deeply [files('part/*/*'), files('ready/*')], [], 'no trace in the spool';


# ---- methods

for my $method (qw(POST DELETE PATCH OPTIONS)) {
    my $c = Exam::Wire->new($server);

    $c->head($method => path('screen/0'), fields('Content-Length' => 0));

    my $res = $c->response;
    is $res->{status}, 405, "$method: 405";
    is $res->{headers}{allow}, 'GET, HEAD, PUT', "$method: Allow";
}

{
    my $c = Exam::Wire->new($server);
    $c->head(POST => '/api/v1/recordings', fields());
    $c->send('hello');
    is $c->response->{status}, 415, 'the collection takes forms only';
}


# ---- a refused body is read off, and the connection serves on

{
    my $c = Exam::Wire->new($server);

    for (1 .. 3) {
        $c->head(PUT => path('screen/0'),
                 fields('Content-Type' => 'text/plain',
                        'Content-Length' => 500_000));
        $c->send('x' x 500_000);
        is $c->response->{status}, 415, 'refused with its body on the way';
    }

    $c->head(PUT => path('screen/0'), fields('Content-Digest' => $good));
    $c->send('hello');
    is $c->response->{status}, 201, 'then a good one on that connection';

    $c->head(PUT => path('screen/20'), fields());
    $c->send('hello');
    is $c->response->{status}, 201, 'the window goes from the highest number';
    $c->head(PUT => path('screen/41'), fields());
    $c->send('hello');
    is $c->response->{status}, 422, 'and ends there';
}

# numbers that only the ledger has widen the window too
{
    my $sid = Exam::sid('30', 'S009');
    my $token = Exam::token(exam => '30', student => 'S009', gen => 1000);

    Exam::redis_cmd('HSET', 'exam:{30}:seg:S009', "$sid:screen:100",
                    'stored t9 t9-' . '1' x 32 . ' 5 ' . '0' x 64);
    Exam::redis_cmd('HSET', 'exam:{30}:stored', "S009:$sid:screen", -1);

    learn($token, 1);

    for (['101', 201], ['122', 422], ['120', 201]) {
        my $c = Exam::Wire->new($server);
        $c->head(PUT => path("screen/$_->[0]"), fields(token => $token));
        $c->send('hello');
        is $c->response->{status}, $_->[1], "number $_->[0] after 100";
    }
}


# ---- what only the body tells

{
    my $before = () = files('ready/*');
    my $c = Exam::Wire->new($server);

    $c->head(PUT => path('camera/0'), fields('Content-Digest' =>
        digest('other'), 'Content-Length' => 5, Expect => '100-continue'));
    $c->send('hello');

    my $res = $c->response;
    is $res->{status}, 422, 'a digest that does not match';
    is $res->{code}, 'digest_mismatch', 'is told so';
    is $res->{continued}, 1, 'after the body was asked for';

    $c->head(PUT => path('camera/0'), fields(
        'Transfer-Encoding' => 'chunked', 'Content-Length' => undef));
    $c->send("0\r\n\r\n");
    $res = $c->response;
    is $res->{code}, 'empty_segment', 'chunks without a byte';

    $c->head(PUT => path('camera/0'), fields(
        'Transfer-Encoding' => 'chunked', 'Content-Length' => undef));
    $c->chunk('x' x 65536) for 1 .. 17;
    $res = $c->response;
    is $res->{code}, 'too_large', 'chunks over the limit, still coming';

    $c = Exam::Wire->new($server);
    $c->head(PUT => path('camera/0'), fields(
        'Transfer-Encoding' => 'chunked', 'Content-Length' => undef));
    $c->send("xyz\r\n");
    $res = $c->response;
    is $res->{status}, 400, 'no chunk at all';
    is $res->{headers}{'content-type'}, 'application/problem+json',
        'is told as all others';

    ok gone(), 'no upload stays open';
    ok eventually(sub { !files('part/*/*') }), 'no part stays';
    is scalar(() = files('ready/*')), $before, 'nothing was kept';
}


# ---- the client leaves, or lies about the length

for my $how ('in the header', 'in the middle', 'one byte short') {
    my $size = 600_000;
    my $sent = { 'in the header' => 0, 'in the middle' => 300_000,
                 'one byte short' => $size - 1 }->{$how};
    my $failed = status()->{error_count};
    my $c = Exam::Wire->new($server);

    $c->head(PUT => path('camera/1'), fields('Content-Length' => $size));
    $c->send('x' x $sent);

    ok eventually(sub {
        my $st = status();
        $st->{active_uploads} == 1 && $st->{upload_bytes_in_flight} == $sent
    }), "$how: the upload is open";

    ok eventually(sub { 1 == (() = files('part/*/*.part')) }),
        "$how: it has a part";

    $c->close;

    ok gone(), "$how: the upload is closed";
    is status()->{upload_bytes_in_flight}, 0, "$how: no byte in flight";
    ok eventually(sub { !files('part/*/*') }), "$how: the part is removed";
}

{
    my $c = Exam::Wire->new($server);
    $c->head(PUT => path('camera/1'), fields());
    $c->send('hello');
    is $c->response->{status}, 201, 'the same number, whole this time';
}


# ---- open uploads of a candidate

{
    my @c = map { Exam::Wire->new($server) } 1 .. 2;

    $c[$_]->head(PUT => path('camera/' . (2 + $_)), fields()) for 0, 1;

    ok eventually(sub { status()->{active_uploads} == 2 }), 'two are open';

    my $c = Exam::Wire->new($server);
    $c->head(PUT => path('camera/4'), fields(Expect => '100-continue'));

    my $res = $c->response;
    is $res->{status}, 503, 'the third of a kind';
    is $res->{code}, 'too_many_uploads', 'is one too many';
    like $res->{headers}{'retry-after'}, qr/^\d+$/, 'for a while';
    is $res->{continued}, 0, 'its body is not asked for';

    $c = Exam::Wire->new($server);
    $c->head(PUT => path('screen/1'), fields());
    $c->send('hello');
    is $c->response->{status}, 201, 'one of another kind is in order';

    $c[0]->send('hello');
    is $c[0]->response->{status}, 201, 'one of the two ends';

    $c[0]->head(PUT => path('camera/4'), fields());
    $c[0]->send('hello');
    is $c[0]->response->{status}, 201, 'and leaves room for the third';
    $c[1]->close;
    ok gone(), 'all are closed';
}


# ---- states of exam and session

for (['closed', 201, undef], ['late', 403, 'upload_closed'],
     ['old', 403, qr/^(?:exam_over|upload_closed)$/])
{
    my ($exam, $status, $code) = @$_;
    my $token = Exam::token(exam => $exam, student => 'S001', gen => 1000,
                            exp => time + 86400);

    # the first request may come before the node knows the exam
    learn($token);

    my $c = Exam::Wire->new($server);
    $c->head(PUT => path('screen/0'), fields(token => $token));
    $c->send('hello');

    my $res = $c->response;
    is $res->{status}, $status, "exam '$exam': $status";
    like $res->{code}, ref $code ? $code : qr/^\Q$code\E$/,
        "exam '$exam': code" if $code;
}


# ---- late uploads: an ended session's own token, and the one after it

{
    my %old = (exam => '30', student => 'S005', gen => 1000,
               sid => Exam::sid('30', 'S005', 1));
    my %new = (%old, gen => 2000, sid => Exam::sid('30', 'S005', 2));
    my ($old, $new) = map { Exam::token(%$_) } \%old, \%new;

    my $put = sub {
        my ($token, $path) = @_;
        my $c = Exam::Wire->new($server);
        $c->head(PUT => path($path), fields(token => $token));
        $c->send('hello');
        return $c->response;
    };

    is $put->($old, 'screen/0')->{status}, 201, 'the first session';
    is $put->($new, 'screen/0')->{status}, 201, 'a later session';

    my $res = $put->($old, 'screen/1');
    is $res->{status}, 201, 'the first one has ended, its own token works';
    is $put->($new, "screen/1?session=$old{sid}")->{status}, 200,
        'its number, named by the later session';
    is $put->($new, "screen/2?session=$old{sid}")->{status}, 201,
        'a left-over of the ended session';
    is $put->($old, "screen/1?session=$new{sid}")->{status}, 403,
        'never the numbers of the running one';
    is $put->($new, "screen/1?session=$new{sid}")->{status}, 201,
        'the own session may be named';

    # another node's session: Redis knows that it was given out
    my $far = Exam::sid('30', 'S005', 3);

    is $put->($new, "screen/0?session=$far")->{status}, 404,
        'an unknown session';
    Exam::redis_cmd('HSET', 'exam:{30}:stored', "S005:$far:screen", -1);
    Exam::redis_cmd('HSET', 'exam:{30}:sessions', 'S005',
        qq({"sid":"$far","gen":2500,"node":"t9","ip":"","login_at":1,)
        . '"ended":""}');
    is $put->($new, "screen/0?session=$far")->{status}, 403,
        'one that runs on another node';
    Exam::redis_cmd('HSET', 'exam:{30}:sessions', 'S005',
        qq({"gen": 1500,"sid":"$far","node":"t9","ip":"","login_at":1,)
        . '"ended":""}');
    is $put->($new, "screen/3?session=$far")->{status}, 201,
        'one that the token itself has replaced';
    Exam::redis_cmd('HSET', 'exam:{30}:sessions', 'S005',
        qq({"sid":"$far","gen":1500,"node":"t9","ip":"","login_at":1,)
        . '"ended":"logout"}');
    is $put->($new, "screen/0?session=$far")->{status}, 201,
        'one that has ended there';
    ok eventually(sub {
        (Exam::redis_cmd('HGET', 'exam:{30}:seg:S005', "$far:screen:0") // '')
            =~ /^received t1 /
    }), 'its ledger entry';
}


# ---- polls

{
    my $token = Exam::token(exam => '30', student => 'S007', gen => 1000);
    my @codes = map {
        Exam::request('GET', $url . path('screen/0'),
            { Authorization => "Bearer $token" })->{status}
    } 1 .. 30;

    is $codes[0], 404, 'a poll';
    is $codes[-1], 429, 'too many polls';
}

done_testing;
