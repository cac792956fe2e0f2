# POST events and preflight: what is taken, what is answered, what is in the
# journal then.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use IO::Select;

use Exam;
use Exam::Api qw(is_problem claims_of raw_request);
use Exam::Journal;

my $spool = Exam::spool();
my $events = '/api/v1/events';
my $preflight = '/api/v1/preflight';

Exam::load_exam('30', students => {
    map { $_ => { code => $Exam::Api::Code } } 'S001' .. 'S019' });

my $server = Exam::server(http => Exam::http_lines(
    exam_events_rate => '0'));
my $api = Exam::Api->new($server);
my $token = $api->login('30', 'S001')->{json}{token};
my $sid = claims_of($token)->{sid};


sub event {
    my ($id, %more) = @_;

    return { id => $id, type => 'focus', %more };
}

sub recorded {
    my (%want) = @_;

    return Exam::Journal::records($spool, type => 'event', %want);
}


# ---- taken

my $res = $api->post($events, { events => [
    event('a-1', client_time => 1763650000123,
          data => { x => [1, "two\n", undef], y => "\x{e4}" }),
    event('a-2', data => 'text'), event('a-3')] }, $token);

is $res->{status}, 202, 'three events';
is_deeply $res->{json}, { accepted => 3, duplicates => 0 }, 'are accepted';

my @found = recorded();

is scalar @found, 3, 'and in the journal before the answer';
is_deeply [map { $_->{id} } @found], ['a-1', 'a-2', 'a-3'], 'in their order';
delete @{ $found[0] }{qw(_file _offset at)};
is_deeply $found[0], {
    type => 'event', node => 't1', exam => '30', student => 'S001',
    session => $sid, gen => claims_of($token)->{gen}, id => 'a-1',
    name => 'focus', client_time => 1763650000123,
    data => { x => [1, "two\n", undef], y => "\x{e4}" } }, 'with all it says';
is $found[1]{data}, 'text', 'data may be a string';
ok !exists $found[2]{data} && !exists $found[2]{client_time},
    'or be left out, as the time';
is $api->metric('events_total'), 3, 'counted';

$res = $api->req('POST', $events, { Authorization => "Bearer $token" },
    qq~{"events":[{"id":"n","type":"t",\n "data": { "n" : 1.50e+400,\r\n~
    . qq~"m":123456789012345678901234567890, "s":"a\\/ \\u0041" } }]}~);
is $res->{status}, 202, 'numbers that no double holds';

my ($line) = grep { $_->[2] =~ /"id":"n"/ } Exam::Journal::lines($spool);

like $line->[2], qr/"data":\{"n":1\.50e\+400,
    "m":123456789012345678901234567890,"s":"a\\\/[ ]\\u0041"\}\}$/x,
    'are kept digit by digit, on one line';

is_deeply $api->post($events, { events => [] }, $token)->{json},
    { accepted => 0, duplicates => 0 }, 'no events';


# ---- doubles

$res = $api->post($events, { events => [
    event('a-1'), event('b'), event('b', data => 2), event('c')] }, $token);
is_deeply $res->{json}, { accepted => 2, duplicates => 2 },
    'seen before, and twice in a request';
is scalar(recorded(id => $_)), 1, "$_ stands once in the journal"
    for 'a-1', 'b', 'c';

my $other = $api->login('30', 'S002')->{json}{token};

is_deeply $api->post($events, { events => [event('a-1')] }, $other)->{json},
    { accepted => 1, duplicates => 0 }, 'an id counts in its session';


# ---- the client's clock

my $now = Exam::now_ms();

$api->beat($other, { seq => 1, client_time => $now - 60_000 });
$api->post($events, { events => [event('clock')] }, $other);
my ($clock) = recorded(id => 'clock');
ok abs(($clock->{offset_ms} // 0) - 60_000) < 5000,
    'the offset of the heartbeats stands beside it';


# ---- refused

for (
    ['{', 400, 'bad_json'], ['', 400, 'bad_json'],
    ["{\"events\":[{\"id\":\"\xff\",\"type\":\"t\"}]}", 400, 'bad_utf8'],
    ['{"events":{}}', 400, 'bad_type'], ['{}', 400, 'missing_member'],
    ['{"events":[{"id":"x"}]}', 400, 'missing_member'],
    ['{"events":[{"id":"x y","type":"t"}]}', 400, 'bad_value'],
    ['{"events":[{"id":"x","type":"t","data":[[[[[[1]]]]]]}]}', 400,
     'too_deep'],
    ['{"events":[{"id":"x","type":"t","data":"' . 'y' x 4096 . '"}]}', 413,
     'too_large'],
    ['{"events":[' . join(',', map { qq({"id":"x$_","type":"t"}) } 0 .. 50)
     . ']}', 400, 'bad_value'],
    [' ' x 262_145, 413, 'too_large'],
) {
    my ($body, $status, $code) = @$_;

    is_problem($api->req('POST', $events,
        { Authorization => "Bearer $token" }, $body), $status, $code,
        "$code: " . substr $body, 0, 40);
}

my $chunk = sprintf "%x\r\n%s\r\n", 100_000, ' ' x 100_000;

is_problem($api->raw(raw_request('POST', $events,
    ["Authorization: Bearer $token", 'Transfer-Encoding: chunked'],
    $chunk x 3 . "0\r\n\r\n")), 413, 'too_large', 'chunks are counted');

is_problem($api->get($events, $token), 405, 'method_not_allowed', 'GET');
is_problem($api->post($events, { events => [event('x')] }), 401,
           'token_missing', 'no token');
is_problem($api->post($events, { events => [event('x')] }, 'x.y.z'), 401,
           'token_invalid', 'a wrong one');

my $ended = $api->login('30', 'S003')->{json}{token};

$api->logout($ended);
$res = $api->post($events, { events => [event('x')] }, $ended);
is_problem($res, 403, 'session_ended', 'a session that has ended');
is $res->{json}{reason}, 'logout', 'with the reason';

is scalar(recorded(id => 'x')), 0, 'nothing of these was recorded';


# ---- the largest request there may be

my $big = '{"events":[' . join(',', map {
    sprintf '{"id":"big%02d","type":"t","data":"%s"}', $_, 'z' x 4050
} 1 .. 50) . ']}';

$res = $api->req('POST', $events, { Authorization => "Bearer $token" }, $big);
is_deeply $res->{json}, { accepted => 50, duplicates => 0 },
    '50 events of 4 KB';
is scalar(grep { $_->{id} =~ /^big/ && length $_->{data} == 4050 }
          recorded()), 50, 'are there whole';

($res) = $api->raw(raw_request('POST', $events,
    ["Authorization: Bearer $other", 'Transfer-Encoding: chunked'],
    join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
             unpack '(a5000)*', $big) . "0\r\n\r\n"));
is $res->{status}, 202, 'the same in chunks';


# ---- many at a time: one sync for all that came in the meantime

{
    my $syncs = $api->metric('journal_sync_seconds_count');
    my @socks = map { $api->connect } 1 .. 50;
    my $i = 0;

    for (@socks) {
        $_->syswrite(raw_request('POST', $events,
            ["Authorization: Bearer $other"], '{"events":[{"id":"p'
            . $i++ . '","type":"t"}]}'));
    }

    my @status = map { ($api->raw('', sock => $_))[0]{status} } @socks;

    is_deeply \@status, [(202) x 50], '50 requests at a time';
    is scalar(grep { $_->{id} =~ /^p\d/ } recorded()), 50, 'are recorded';
    cmp_ok $api->metric('journal_sync_seconds_count') - $syncs, '<', 40,
        'with fewer syncs';
}


# ---- whoever leaves before the answer harms nobody

my $have = () = recorded();

for my $i (1 .. 20) {
    my $sock = $api->connect;

    $sock->syswrite(raw_request('POST', $events,
        ["Authorization: Bearer $token"],
        qq({"events":[{"id":"left$i","type":"t"}]})));
    close $sock;
}

is scalar(grep { $_->{id} =~ /^left/ }
          Exam::Journal::wait_records($spool, $have + 20,
                                      type => 'event')), 20,
    'clients that leave at once: their events are there';
is $api->get('/health')->{status}, 200, 'nginx serves';


# ---- preflight

$res = $api->req('POST', $preflight, { Authorization => "Bearer $token" },
                 'x' x 5_242_880);
is $res->{status}, 200, '5 MB';
is $res->{json}{bytes}, 5_242_880, 'are counted';
like $res->{json}{ms}, qr/^\d+$/, 'and timed';
ok abs($res->{json}{server_time} - Exam::now_ms()) < 60_000, 'server_time';

my ($pf) = recorded(name => 'preflight');

is_deeply $pf->{data}, { bytes => 5_242_880, ms => $res->{json}{ms} },
    'the figures are an event';
like $pf->{id}, qr/^preflight-[0-9a-f]{32}$/, 'with an id of its own';
is $pf->{student}, 'S001', 'of the candidate';

is_problem($api->req('POST', $preflight,
    { Authorization => "Bearer $token" }, 'x' x 5_242_881), 413, 'too_large',
    'a byte more');

$chunk = sprintf "%x\r\n%s\r\n", 1_048_576, 'x' x 1_048_576;
($res) = $api->raw(raw_request('POST', $preflight,
    ["Authorization: Bearer $token", 'Transfer-Encoding: chunked'],
    $chunk x 5 . "0\r\n\r\n"));
is $res->{json}{bytes}, 5_242_880, 'chunks are counted';
is_problem($api->raw(raw_request('POST', $preflight,
    ["Authorization: Bearer $token", 'Transfer-Encoding: chunked'],
    $chunk x 5 . "1\r\nx\r\n0\r\n\r\n")), 413, 'too_large',
    'one more of them, too');
is $api->req('POST', $preflight, { Authorization => "Bearer $token" }, '')
    ->{json}{bytes}, 0, 'an empty body';
is $api->post($preflight, 'x', $token)->{status}, 200, 'the sixth';
is_problem($api->post($preflight, 'x', $token), 429, 'rate_limited',
           'the seventh in a minute');
is $api->post($preflight, 'x', $other)->{status}, 200,
    'another candidate has a limit of their own';
is_problem($api->post($preflight, 'x', $ended), 403, 'session_ended',
           'a session that has ended');
is_problem($api->get($preflight, $token), 405, 'method_not_allowed', 'GET');
is_problem($api->post($preflight, 'x'), 401, 'token_missing', 'no token');
is_deeply [glob "$server->{dir}/client_body/*"], [],
    'no body was written to a file';


# ---- without Redis

Exam::redis()->stop('KILL');

is $api->post($events, { events => [event('away')] }, $token)->{status}, 202,
    'events with Redis away';
is scalar(recorded(id => 'away')), 1, 'are recorded';
is $api->post($events, { events => [event('cold')] }, Exam::token(
    exam => '30', student => 'S019', gen => 1000))->{status}, 202,
    'those of a session that the node never saw, too';
is_deeply [Exam::Journal::bad($spool)], [], 'no line is no record';
$server->stop('QUIT');


# ---- 60 a minute

$server = Exam::server();
$api = Exam::Api->new($server, redis => 0);
my @status = map {
    $api->post($events, { events => [] }, $token)->{status} } 1 .. 60;
is_deeply \@status, [(202) x 60], '60 requests in a minute';
is_problem($api->post($events, { events => [event('x61')] }, $token), 429,
           'rate_limited', 'one more');
is $api->post($events, { events => [] }, $other)->{status}, 202,
    'another candidate has a limit of their own';

done_testing;
