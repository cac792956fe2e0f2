# The table of states (design, section 4): what each endpoint answers in each
# state of exam, session and student.  The states come from Redis, by the
# answers of login and flush only.

use strict;
use warnings;

use lib 't/lib';

use JSON::PP ();
use Test::More;

use Exam;
use Exam::Api qw(problem is_problem session);

my $code = $Exam::Api::Code;
my $hour = 3_600_000;
my $day = 24 * $hour;
my $now = Exam::now_ms();
my $true = JSON::PP::true;
my $gen = 0;

my %students = map { $_ => { code => $code } } 'S001' .. 'S020';
$students{S010}{flags} = { extra_s => 7200 };
$students{S011}{flags} = { suspended => $true };

my $nginx = Exam::server(http => Exam::http_lines(exam_heartbeat_rate => '0',
                                                  exam_poll_rate => '0'));
my $api = Exam::Api->new($nginx);

# what a session of the exam meets: "200", or status, code and reason

my %ask = (
    heartbeat => sub { $api->beat($_[0]) },
    me => sub { $api->me($_[0]) },
    logout => sub { $api->logout($_[0]) },
    put => sub {
        $api->req('PUT', '/api/v1/recordings/screen/0',
                  { Authorization => "Bearer $_[0]",
                    'Content-Type' => 'video/webm' }, 'segment');
    },
    get => sub { $api->get('/api/v1/recordings/camera/0', $_[0]) },
    login => sub { $api->login(@{ $_[1] }) },
);

sub answer {
    my ($what, $token, $who) = @_;

    my $res = $ask{$what}->($token, $who);

    return $res->{status} if $res->{status} < 400;

    my $why = problem($res, $res->{status}, $res->{json}{code});
    return $why if $why;

    return join ' ', $res->{status}, $res->{json}{code},
                     grep { defined } $res->{json}{reason};
}

# Changes what Redis says of the exam, and waits until the node has learned it.

sub learn {
    my ($exam, $token, $want, %fields) = @_;

    Exam::redis_cmd('HSET', "exam:{$exam}", version => Exam::now_ms(), %fields);

    # an ended session is not flushed by its own requests, so the exam is
    # learned by the beats of a new one each time

    my $beater = Exam::token(exam => $exam, student => 'S020', gen => ++$gen,
                             sid => Exam::sid($exam, 'S020', $gen));

    return Exam::wait_for {
        $api->beat($beater);
        my $me = $api->me($token);
        my $json = $me->{json};

        return $want->($json) ? 1 : 0;
    } 5;
}

# ---- the exam's states, each with a session that began while it was open

my @order = qw(login heartbeat me get put logout);

my @table = (
    # state, fields, what /me shows then, what is answered
    ['open', {}, sub { ($_[0]{exam}{state} // '') eq 'open' },
     login => 200, heartbeat => 200, me => 200, get => '404 not_found',
     put => 201, logout => 200],

    ['draft', { state => 'draft' }, sub { $_[0]{code} },
     login => '403 exam_not_open', heartbeat => '403 exam_not_open'],

    ['paused', { paused_at => $now - $hour }, sub { $_[0]{status}{paused} },
     login => 200, heartbeat => 200, me => 200, get => '404 not_found',
     put => 201, logout => 200],

    ['past its end', { ends_at => $now - $hour },
     sub { $_[0]{status}{closed} },
     login => '403 exam_over', heartbeat => 200, me => 200,
     get => '404 not_found', put => 201, logout => 200],

    ['past its end, with extra time', { ends_at => $now - $hour },
     sub { ($_[0]{ends_at} // 0) == $now + $hour }, 'S010',
     login => 200, heartbeat => 200, me => 200, get => '404 not_found',
     put => 201, logout => 200],

    ['closed', { state => 'closed' }, sub { $_[0]{status}{closed} },
     login => '403 exam_over', heartbeat => 200, me => 200,
     get => '404 not_found', put => 201, logout => 200],

    ['past the late deadline', { ends_at => $now - $day - $hour },
     sub { $_[0]{code} },
     login => '403 exam_over', heartbeat => '403 exam_over',
     me => '403 exam_over', get => '403 exam_over',
     put => '403 upload_closed',
     logout => '403 session_ended exam_over'],

    ['closed, past the late deadline',
     { state => 'closed', ends_at => $now - $day - $hour },
     sub { $_[0]{code} },
     login => '403 exam_over', heartbeat => '403 exam_over',
     me => '403 exam_over', get => '403 exam_over',
     put => '403 upload_closed',
     logout => '403 session_ended exam_over'],

    ['past the late deadline, but for the extra time',
     { ends_at => $now - $day - $hour },
     sub { ($_[0]{late_until} // 0) == $now + $hour }, 'S010',
     login => '403 exam_over', heartbeat => 200, me => 200,
     get => '404 not_found', put => 201, logout => 200],

    ['past the late deadline, but for a pause',
     { ends_at => $now - $day - $hour, pause_ms => 2 * $hour },
     sub { ($_[0]{late_until} // 0) == $now + $hour },
     login => '403 exam_over', heartbeat => 200, me => 200,
     get => '404 not_found', put => 201, logout => 200],

    ['archived', { state => 'archived' }, sub { $_[0]{code} },
     login => '403 exam_over', heartbeat => '403 exam_over',
     me => '403 exam_over', get => '403 exam_over',
     put => '403 upload_closed', logout => '403 exam_over'],
);

my $e = 0;

for my $row (@table) {
    my ($name, $fields, $shown, @want) = @$row;
    my $student = @want % 2 ? shift @want : 'S001';
    my %want = @want;
    my $exam = 'state' . $e++;

    Exam::load_exam($exam, students => \%students);

    my $token = $api->login($exam, $student)->{json}{token};

    ok(learn($exam, $token, $shown, %$fields),
       "$name: the node has learned it");

    # a draft has no sessions: only login and heartbeat are asked

    for my $what (grep { exists $want{$_} } @order) {

        # a login ends the older session of the same student
        my $who = [$exam, $what eq 'login' && $student eq 'S001'
                          ? 'S002' : $student];

        next if $what eq 'login' && $student ne 'S001';
        is(answer($what, $token, $who), $want{$what}, "$name: $what");
    }

    is(answer('login', undef, [$exam, $student]), $want{login},
       "$name: login") if $student ne 'S001';
}

# ---- ended sessions: uploads and looks go on, nothing else does

Exam::load_exam('ended', students => \%students);

my %end = (
    logout => sub { $api->logout($_[0]) },
    replaced => sub { $api->login('ended', $_[1]) },
    forced => sub {
        my $s = session('ended', $_[1]);
        Exam::redis_cmd('HSET', 'exam:{ended}:sessions', $_[1],
            JSON::PP->new->encode({ %$s, ended => 'forced' }));
    },
);

my $n = 1;

for my $reason (sort keys %end) {
    my $student = sprintf 'S%03d', $n++;
    my $token = $api->login('ended', $student)->{json}{token};

    $end{$reason}->($token, $student);
    Exam::wait_for { $api->beat($token)->{status} == 403 };

    is(answer('heartbeat', $token), "403 session_ended $reason",
       "ended by $reason: heartbeat");
    is(answer('logout', $token), "403 session_ended $reason",
       "ended by $reason: logout");
    is(answer('me', $token), 200, "ended by $reason: me");
    is($api->me($token)->{json}{ended}, $reason, "ended by $reason: me tells");
    is(answer('get', $token), '404 not_found', "ended by $reason: GET");
    is(answer('put', $token), 201, "ended by $reason: PUT");
}

# a reason of a later version is an end

my $token = $api->login('ended', 'S009')->{json}{token};
Exam::redis_cmd('HSET', 'exam:{ended}:sessions', 'S009',
    JSON::PP->new->encode({ %{ session('ended', 'S009') }, ended => 'moved' }));
Exam::wait_for { $api->beat($token)->{status} == 403 };
is(answer('heartbeat', $token), '403 session_ended forced',
   'ended for a reason that is not known');

# ---- exam_over is an end of the session, in Redis too

Exam::load_exam('late', students => \%students);
$token = $api->login('late', 'S001')->{json}{token};
learn('late', $token, sub { $_[0]{code} }, ends_at => $now - $day - $hour);
is(answer('heartbeat', $token), '403 exam_over', 'past the deadline');
ok(Exam::wait_for { session('late', 'S001')->{ended} eq 'exam_over' },
   'the session is ended(exam_over) in Redis');
learn('late', $token, sub { $_[0]{late_until} }, ends_at => $now + $hour);
is(answer('heartbeat', $token), '403 exam_over',
   'an exam opened again does not revive it');
is(answer('put', $token), 201, 'its uploads are taken');
is(answer('login', undef, ['late', 'S001']), 200, 'and a new login');

# ---- flags of a student

Exam::load_exam('flags', students => \%students);

is(answer('login', undef, ['flags', 'S011']), '403 student_suspended',
   'suspended: no login');
$token = $api->login('flags', 'S001')->{json}{token};
Exam::redis_cmd('HSET', 'exam:{flags}:flags', 'S001', '{"suspended":true}');
ok(Exam::wait_for { $api->beat($token)->{json}{status}{locked} },
   'suspended later: the session goes on, locked');
is(answer('login', undef, ['flags', 'S001']), '403 student_suspended',
   'but has no second login');
is(answer($_, $token), $_ eq 'put' ? 201 : 200, "suspended: $_")
    for qw(heartbeat me put logout);

# ---- lasting effects stand in login and me, too

Exam::redis_cmd('HSET', 'exam:{flags}:flags', 'S002',
                '{"locked":true,"paused":true,"finish":true,"extra_s":60}');
my $login = $api->login('flags', 'S002')->{json};
is_deeply($login->{status}, { locked => $true, paused => $true,
                              closed => $true }, 'login tells the flags');
is_deeply($api->me($login->{token})->{json}{status}, $login->{status},
          'me tells the same');
is_deeply($api->beat($login->{token})->{json}{status}, $login->{status},
          'so does the first heartbeat');
is($api->me($login->{token})->{json}{ends_at}, $login->{ends_at},
   'and the same end');

# ---- directives

my $other = Exam::Api->new(Exam::server(http => Exam::http_lines(
    exam_late_upload => '1h', exam_login_early => '2h')));

Exam::load_exam('dir', students => \%students, starts_at => $now + 90 * 60_000,
                ends_at => $now + 2 * $hour);
$login = $other->login('dir', 'S001')->{json};
isnt($login->{token}, undef, 'exam_login_early 2h');
is($other->me($login->{token})->{json}{late_until}, $now + 3 * $hour,
   'exam_late_upload 1h');

done_testing();
