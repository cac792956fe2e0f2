# GET /api/v1/me and POST /api/v1/logout: what the server has of a candidate,
# from the ledger in Redis, and what is still to be sent (design, section 3.1).

use strict;
use warnings;

use lib 't/lib';

use Test::More;

use Exam;
use Exam::Api qw(is_problem is_shape claims_of session);

my $code = $Exam::Api::Code;
my $hour = 3_600_000;
my $now = Exam::now_ms();
my $end = $now + 3 * $hour;
my $late = $end + 24 * $hour;
my %students = map { $_ => { code => $code } } 'S001' .. 'S030';

Exam::load_exam('30', students => \%students, ends_at => $end);

my $nginx = Exam::server(http => Exam::http_lines(exam_heartbeat_rate => '0',
                                                  exam_poll_rate => '0'));
my $api = Exam::Api->new($nginx);

# Entries of the ledger: seg('S001', $sid, screen => { 0 => 'stored' })

sub seg {
    my ($student, $sid, $kind, $numbers) = @_;

    my $upload = 't1-' . 'ab' x 16;

    Exam::redis_cmd('HSET', "exam:{30}:seg:$student",
        map { ("$sid:$kind:$_",
               "$numbers->{$_} t1 $upload 1000 " . 'cd' x 32) }
        sort keys %$numbers);
}


sub stored {
    my ($student, $sid, $kind, $n) = @_;

    Exam::redis_cmd('HSET', 'exam:{30}:stored', "$student:$sid:$kind", $n);
}

my %none = map { $_ => [] } qw(stored received receiving lost refused missing);

sub segments {
    my (%kinds) = @_;

    return { map { ($_ => { %none, %{ $kinds{$_} // {} } }) }
             qw(screen camera) };
}


sub is_segments {
    my ($got, $want, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply($got, $want, $name) or diag(explain($got));
}

# ---- me of a session that has just begun

my $login = $api->login('30', 'S001')->{json};
my $token = $login->{token};
my $res = $api->me($token);
my $me = $res->{json};

my $begun = {
    session => \$login->{session}, gen => \$login->{gen}, ended => 'null',
    student => { id => \'S001' }, exam => { id => \'30', state => \'open' },
    ends_at => \$end, late_until => \$late,
    status => { locked => \0, paused => \0, closed => \0 },
    server_time => 'int', stored => { screen => \-1, camera => \-1 },
    sessions => 'array', truncated => \0, degraded => ['null'],
};

is($res->{status}, 200, 'me');
is($res->{headers}{'content-type'}, 'application/json', 'as JSON');
is_shape($me, $begun, 'all members, no other');
is_deeply($me->{sessions}, [{ session => $login->{session},
                              current => JSON::PP::true,
                              segments => segments() }],
          'one session, nothing of it');

# ---- the ledger

seg('S001', $login->{session}, 'screen', {
    (map { $_ => 'stored' } 0 .. 4), 6 => 'received', 7 => 'received',
    9 => 'lost', 10 => 'refused', 12 => 'received',
});
seg('S001', $login->{session}, 'camera', { 1 => 'stored' });
seg('S001', $login->{session}, 'file', { 0 => 'stored' });
seg('S001', 'f' x 32, 'screen', { 0 => 'received' });
Exam::redis_cmd('HSET', 'exam:{30}:seg:S001', 'broken', 'stored t1 x 1 -',
                "$login->{session}:screen:8",
                'receiving t2 t2-' . 'ab' x 16 . ' 1000 -',
                "$login->{session}:screen:99", 'nonsense',
                "$login->{session}:screen:0098", 'stored t1 - 1 -',
                "$login->{session}:other:5", 'stored t1 - 1 -');

my $segments = segments(
    screen => { stored => [[0, 4]], received => [[6, 7], [12, 12]],
                receiving => [[8, 8]], lost => [[9, 9]],
                refused => [[10, 10]], missing => [[5, 5], [8, 8], [10, 11]] },
    camera => { stored => [[1, 1]], missing => [[0, 0]] });

$me = $api->me($token)->{json};

is_segments($me->{sessions}[0]{segments}, $segments,
            'ranges of each state; what is not understood is not shown');
is(scalar @{ $me->{sessions} }, 2, 'every session of the candidate');
is_deeply($me->{sessions}[1], {
    session => 'f' x 32, current => JSON::PP::false,
    segments => segments(screen => { received => [[0, 0]] }),
}, 'another one, not the current');

# ---- stored, as the next flush tells

stored('S001', $login->{session}, screen => 4);
Exam::wait_for { $api->beat($token);
                 $api->me($token)->{json}{stored}{screen} == 4 };
is_deeply($api->me($token)->{json}{stored}, { screen => 4, camera => -1 },
          'stored as in the heartbeat');

stored('S001', $login->{session}, camera => 3);
Exam::wait_for { $api->beat($token);
                 $api->me($token)->{json}{stored}{camera} == 3 };
is_deeply($api->me($token)->{json}{sessions}[0]{segments}{camera},
          { %none, stored => [[0, 3]] },
          'the union of zone and ledger: 0 to stored is stored');

# many sessions: the current one is always there

for my $i (1 .. 40) {
    seg('S002', sprintf('%032x', $i), 'screen', { 0 => 'stored' });
}

my $many = $api->login('30', 'S002')->{json};
$me = $api->me($many->{token})->{json};
is($me->{sessions}[0]{session}, $many->{session},
   'the current session is the first of many');
is(scalar @{ $me->{sessions} }, 41, 'beside all the others');
is(scalar(grep { $_->{current} } @{ $me->{sessions} }), 1, 'once');

# a full ledger: 2,000 segments, each second one missing

my $full = $api->login('30', 'S003')->{json};
seg('S003', $full->{session}, 'screen',
    { map { 2 * $_ => 'stored' } 0 .. 999 });
$res = $api->me($full->{token});
is($res->{status}, 200, 'a thousand holes');

my $shown = $res->{json}{sessions}[0]{segments}{screen};
my $covered = 0;
$covered += $_->[1] - $_->[0] + 1 for @{ $shown->{stored} };
is(scalar(grep { $_->[0] % 2 || $_->[0] != $_->[1] } @{ $shown->{stored} }), 0,
   'nothing is called stored that is not');
cmp_ok($covered, '>', 30, 'and much of what is');

is($api->req('HEAD', '/api/v1/me', { Authorization => "Bearer $token" })
       ->{status}, 200, 'HEAD');
is_problem($api->post('/api/v1/me', {}, $token), 405, 'method_not_allowed',
           'POST');
is($api->post('/api/v1/me', {}, $token)->{headers}{allow}, 'GET, HEAD',
   'what is allowed');

# ---- logout

$res = $api->logout($token, { recorded => { screen => 13, camera => 5 } });

is($res->{status}, 200, 'logout');
is_shape($res->{json}, { pending => 'array', late_until => \$late,
                         degraded => ['null'] }, 'its members');
is_deeply($res->{json}{pending}, [
    { kind => 'screen', ranges => [[5, 5], [8, 8], [10, 11], [13, 13]] },
    { kind => 'camera', ranges => [[4, 5]] },
], 'pending: neither received, stored nor lost');

is(session('30', 'S001')->{ended}, 'logout', 'Redis knows');
$res = $api->beat($token);
is_problem($res, 403, 'session_ended', 'no heartbeat any more');
is($res->{json}{reason}, 'logout', 'with the reason');
$res = $api->logout($token);
is_problem($res, 403, 'session_ended', 'no second logout');
is($res->{json}{reason}, 'logout', 'with the reason, too');
is_shape($api->me($token)->{json},
         { %$begun, ended => \'logout',
           stored => { screen => \4, camera => \3 } },
         'me goes on, and tells');

is($api->login('30', 'S001')->{status}, 200, 'a new login is let in');
is(session('30', 'S001')->{ended}, '', 'as an active session');
$res = $api->beat($token);
is($res->{json}{reason}, 'logout', 'what ended the first one first, stays');

# ---- bodies of a logout

my $i = 4;

sub fresh { return $api->login('30', sprintf 'S%03d', $i++)->{json}{token} }

sub pending {
    my ($body, $want, $name) = @_;

    my $res = $api->logout(fresh(), $body);
    is_deeply($res->{json}{pending}, $want, $name) or diag($res->{content});
}

pending('{"recorded":{"screen":2,"camera":-1}}',
        [{ kind => 'screen', ranges => [[0, 2]] }], '-1: nothing recorded');
pending('{"recorded":{"camera":0}}',
        [{ kind => 'camera', ranges => [[0, 0]] }], 'one kind');
pending('{"recorded":{"other":7}}', [], 'an unknown kind is ignored');
pending('{}', [], 'no numbers');
pending('', [], 'no body');
pending('{"recorded":null,"why":"tired"}', [], 'null, and unknown members');

my $open = fresh();

for my $case (['{"recorded":[]}', 'bad_type'],
              ['{"recorded":{"screen":"2"}}', 'bad_type'],
              ['{"recorded":{"screen":-2}}', 'bad_value'],
              ['{"recorded":{"screen":1000000}}', 'bad_value'],
              ['[]', 'bad_type'], ['{"recorded":{"screen":2}', 'bad_json'])
{
    is_problem($api->logout($open, $case->[0]), 400, $case->[1],
               "refused: $case->[0]");
}

is($api->beat($open)->{status}, 200, 'a refused logout ends nothing');
is_problem($api->req('GET', '/api/v1/logout'), 405, 'method_not_allowed',
           'GET');

# ---- a logout of a session that Redis knows as replaced

my $old = $api->login('30', 'S029')->{json};
my $new = $api->login('30', 'S029')->{json};
$res = $api->logout($old->{token});
is($res->{json}{reason}, 'replaced', 'the first session cannot log out');
is(session('30', 'S029')->{sid}, $new->{session}, 'the second one stands');

# ---- counted

is($api->metric('logouts_total'), 7, 'logouts are counted');

# ---- an exam of many hours, asked of a node that has never heard of it: Redis
# gives the ledger in no order

my $cold = Exam::Api->new(Exam::server(http => Exam::http_lines(
    exam_node => 't2', exam_poll_rate => '0')));
my $long = $api->login('30', 'S030')->{json};

seg('S030', $long->{session}, 'screen',
    { map { $_ => $_ < 300 ? 'stored' : 'received' }
          grep { $_ != 77 } 0 .. 399 });

$me = $cold->me($long->{token})->{json};
is_segments($me->{sessions}[0]{segments},
            segments(screen => { stored => [[0, 76], [78, 299]],
                                 received => [[300, 399]],
                                 missing => [[77, 77]] }),
            'me: 399 segments on a cold node');

$res = Exam::Api->new(Exam::server(http => Exam::http_lines(
    exam_node => 't3')))->logout($long->{token},
                                 '{"recorded":{"screen":400}}');
is_deeply($res->{json}{pending},
          [{ kind => 'screen', ranges => [[77, 77], [400, 400]] }],
          'logout: the same') or diag($res->{content});
is($res->{json}{late_until}, $late, 'and the deadline, as Redis knows it');

done_testing();
