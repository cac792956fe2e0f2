# POST /api/v1/recordings/{kind}/{n}/lost: numbers that a client gives up.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256_hex);

use Exam;
use Exam::Api qw(is_problem);

my $nginx = Exam::server(workers => 2,
    http => Exam::http_lines(exam_poll_rate => '0'),
    allow => [qr/connection refused|exam redis/i]);
my $api = Exam::Api->new($nginx);
my $url = $nginx->url;

my $code = $Exam::Api::Code;

Exam::load_exam('30', students => {
    map { ($_ => { code => $code }) } qw(S001 S002 S003 S004 S005 S006)
});


sub path { return "/api/v1/recordings/$_[0]/$_[1]" }


sub put {
    my ($token, $kind, $n, $body, $args) = @_;

    return Exam::request('PUT', $url . path($kind, $n) . ($args // ''),
        { Authorization => "Bearer $token", 'Content-Type' => 'video/webm' },
        $body);
}


sub lost {
    my ($token, $kind, $n, $body, $args) = @_;

    return $api->post(path($kind, $n) . '/lost' . ($args // ''), $body, $token);
}


sub seg {
    my ($student, $session, $kind, $n) = @_;

    return Exam::redis_cmd('HGET', "exam:{30}:seg:$student",
                           "$session:$kind:$n") // '';
}


sub get { return $api->get(path($_[1], $_[2]), $_[0]) }


sub sets {
    my ($token, $kind) = @_;

    return $api->me($token)->{json}{sessions}[0]{segments}{$kind};
}


sub journal {
    return join '', map { Exam::slurp($_) } glob(Exam::spool()
                                                 . '/journal/*.log');
}


# ---- given up, with a reason

my $login = $api->login('30', 'S001')->{json};
my ($token, $session) = @$login{qw(token session)};

my $res = lost($token, 'screen', 0, { reason => "tab \"closed\"\nby hand" });
is($res->{status}, 200, 'lost');
is($res->{json}{state}, 'lost', 'is what it is now');
is($res->{json}{reason}, 'tab "closed" by hand', 'the reason is one line');
like(journal(), qr/"type":"lost".*"kind":"screen","n":0.*tab \\"closed\\"/,
     'and stands in the journal');
is_deeply(sets($token, 'screen')->{lost}, [[0, 0]], 'me shows it');
is(get($token, 'screen', 0)->{json}{state}, 'lost', 'GET too');
ok((Exam::wait_for { seg('S001', $session, 'screen', 0)
                     eq 'lost - - - - tab "closed" by hand' }),
   'the ledger learns it');
is(get($token, 'screen', 0)->{json}{reason}, 'tab "closed" by hand',
   'and GET tells why');
is(Exam::redis_cmd('HGET', 'exam:{30}:stored', "S001:$session:screen"), 0,
   'stored passes it');
is($api->me($token)->{json}{stored}{screen}, 0, 'me says so');
ok((Exam::wait_for { $api->beat($token)->{json}{stored}{screen} == 0 }),
   'a heartbeat, too');

my $lines = () = journal() =~ /"type":"lost"/g;
is(lost($token, 'screen', 0)->{json}{state}, 'lost', 'once more');
is(scalar(() = journal() =~ /"type":"lost"/g), $lines,
   'is no second record');

for ([undef, 'without a body'], [{}, 'without a reason'],
     [{ reason => undef }, 'with null'], [{ reason => '' }, 'with nothing'],
     [{ reason => 'x' x 255, more => [1] }, 'with the longest reason'])
{
    my ($body, $name) = @$_;

    is(lost($token, 'camera', 0, $body)->{json}{state}, 'lost', $name);
}


# ---- it comes after all: received wins, lost is then refused politely

$res = put($token, 'screen', 0, 'found it');
is($res->{status}, 201, 'what was lost is taken all the same');
is(get($token, 'screen', 0)->{json}{state}, 'received', 'GET says received');
is_deeply(sets($token, 'screen')->{lost}, [], 'me does not call it lost');
is_deeply(sets($token, 'screen')->{received}, [[0, 0]], 'but received');

$res = lost($token, 'screen', 0, { reason => 'again' });
is($res->{status}, 200, 'lost of what was received');
is($res->{json}{state}, 'received', 'tells its real state');
is($res->{json}{sha256}, sha256_hex('found it'), 'and its hash');

ok((Exam::wait_for { seg('S001', $session, 'screen', 0) =~ /^received / }),
   'the ledger has it as received');
Exam::redis_cmd('HSET', 'exam:{30}:seg:S001', "$session:screen:0",
    seg('S001', $session, 'screen', 0) =~ s/^received/stored/r);
is(lost($token, 'screen', 0)->{json}{state}, 'stored', 'stored, too');


# ---- stored passes lost numbers; pending leaves them out

for my $n (1, 2, 4) {
    is(lost($token, 'screen', $n)->{json}{state}, 'lost', "lost $n");
}

ok((Exam::wait_for { Exam::redis_cmd('HGET', 'exam:{30}:stored',
                                     "S001:$session:screen") == 2 }),
   'stored passes the lost ones behind what is stored');
is_deeply(sets($token, 'screen'),
          { stored => [[0, 0]], received => [], receiving => [],
            lost => [[1, 2], [4, 4]], refused => [], missing => [[3, 3]] },
          'me tells them apart');


# ---- refusals

is_problem(lost('x', 'screen', 1), 401, 'token_invalid', 'no token');
is_problem(lost($token, 'audio', 1), 404, 'not_found', 'an unknown kind');
is_problem(lost($token, 'screen', '01'), 404, 'not_found', 'a malformed n');
is_problem(lost($token, 'screen', 2000), 422, 'segment_number',
           'beyond the numbers of a session');
is_problem(lost($token, 'screen', 1500), 422, 'segment_number',
           'beyond the window');
is_problem(lost($token, 'screen', 3, '{'), 400, 'bad_json', 'no JSON');
is_problem(lost($token, 'screen', 3, '[]'), 400, 'bad_type', 'no object');
is_problem(lost($token, 'screen', 3, { reason => 1 }), 400, 'bad_type',
           'a reason that is no text');
is_problem(lost($token, 'screen', 3, { reason => 'x' x 256 }), 400,
           'bad_value', 'a reason too long');
is_problem(lost($token, 'screen', 3, { reason => 'x' x 17000 }), 413,
           'too_large', 'a body too large');
is_problem($api->get(path('screen', 3) . '/lost', $token), 405,
           'method_not_allowed', 'GET of it');
is_problem($api->post(path('screen', 3), {}, $token), 405,
           'method_not_allowed', 'POST of the number itself');
is_problem(lost($token, 'screen', '3/lost'), 404, 'not_found',
           'one part too many');
is_problem($api->post(path('screen', 3) . '/found', {}, $token), 404,
           'not_found', 'another word');
is(seg('S001', $session, 'screen', 3), '', 'none of them was taken');


# ---- an ended session: by its own token, and by the next session

$api->logout($token, { recorded => { screen => 5 } });
is(lost($token, 'screen', 3)->{json}{state}, 'lost',
   'a logged out session gives up its own');

$login = $api->login('30', 'S001')->{json};
is(lost($login->{token}, 'screen', 5, {}, "?session=$session")->{json}{state},
   'lost', 'the next one does for it, too');
ok((Exam::wait_for { seg('S001', $session, 'screen', 5) =~ /^lost/ }),
   'in the ended session');
is(seg('S001', $login->{session}, 'screen', 5), '', 'not in its own');

my $other = $api->login('30', 'S002')->{json};
is_problem(lost($other->{token}, 'screen', 1, {}, "?session=$session"), 404,
           'not_found', 'of another student: nothing');


# ---- clients that are gone before the answer

{
    my $s = $api->login('30', 'S003')->{json};
    my @pids = sort $nginx->workers;

    for my $n (0 .. 49) {
        my $sock = $api->connect;

        $sock->syswrite(Exam::Api::raw_request('POST',
            path('screen', $n) . '/lost', ["Authorization: Bearer $s->{token}"],
            '{"reason":"gone"}'));
        close $sock;
    }

    is(lost($s->{token}, 'camera', 0)->{json}{state}, 'lost',
       'others go on when clients are gone');
    is_deeply([sort $nginx->workers], \@pids, 'in the same processes');
}


# ---- Redis away: the journal has it, the node shows it

{
    my $s = $api->login('30', 'S004')->{json};
    is(put($s->{token}, 'screen', 0, 'first')->{status}, 201, 'an upload');
    ok((Exam::wait_for { seg('S004', $s->{session}, 'screen', 0) }),
       'is known to Redis');

    Exam::redis()->stop;

    $res = lost($s->{token}, 'screen', 1, { reason => 'away' });
    is($res->{status}, 200, 'lost while Redis is away');
    is($res->{json}{state}, 'lost', 'is lost');
    like(journal(), qr/"reason":"away"/, 'in the journal');
    is(get($s->{token}, 'screen', 1)->{json}{state}, 'lost', 'GET shows it');
    is_deeply(sets($s->{token}, 'screen')->{lost}, [[1, 1]], 'me, too');
    is(lost($s->{token}, 'screen', 0)->{json}{state}, 'received',
       'what was received here is not lowered');

    my $out = $api->logout($s->{token}, { recorded => { screen => 2 } });
    is_deeply($out->{json}{pending},
              [{ kind => 'screen', ranges => [[2, 2]] }],
              'pending is without both');
}

done_testing();
