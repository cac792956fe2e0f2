# A command's whole way: examctl, MySQL, control stream, heartbeat, the client's
# ack, journal, MySQL.  What lasts is not escaped by a new login, a reload, a
# killed worker, a restart of nginx; a refill brings no command back to life.

use strict;
use warnings;

use lib 't/lib';

use JSON::PP ();
use Test::More;

use Exam;
use Exam::Api qw(session);
use Exam::Process;

my $mysql = Exam::mysql();
my $dir = Exam::dir();
my $code = $Exam::Api::Code;

sub ctl {
    my ($rc, $out, $err) = Exam::examctl(@_);
    is("$rc $err", '0 ', join ' ', 'examctl', grep { defined } @_[0 .. 4]);
    return $out;
}

sub send_to {
    my ($to, $type, $payload) = @_;

    return JSON::PP->new->decode(ctl('command', 'send', 30, '--to', $to,
        '--type', $type, '--json',
        defined $payload ? ('--payload', $payload) : ()))->{id};
}

sub states {
    return join ' ', map { "$_->[0]:$_->[1]" } $mysql->sql(
        "SELECT student, state FROM deliveries WHERE command = $_[0] "
        . "ORDER BY student");
}

Exam::ini(worker => { log => "$dir/worker.log" });
ctl('migrate');
ctl('exam', 'create', 30, '--title', 'x');
Exam::spew("$dir/in.csv", join "\n", 'student,name,code,group',
           map { "S00$_,N,$code," . ($_ < 3 ? 'g' : '') } 1 .. 3);
ctl('roster', 'import', 30, "$dir/in.csv", '--codes', "$dir/codes.csv");
ctl('exam', 'open', 30);

my $worker = Exam::worker(ini => "$dir/exam.ini");
ok((Exam::wait_for { Exam::redis_cmd('EXISTS', 'exam:loaded') } 20), 'loaded');

my @node = (workers => 2,
    allow => [qr/worker process \d+ exited on signal 9/],
    http => Exam::http_lines(exam_heartbeat_rate => '0',
                             exam_poll_rate => '0'));
my $api = Exam::Api->new(Exam::server(@node));
my %token = map { $_ => $api->login('30', $_)->{json}{token} }
            map { "S00$_" } 1 .. 3;

is(scalar(grep { defined } values %token), 3, 'three are logged in');

my $seq = 0;

sub beat {
    my ($student, @ack) = @_;

    return $api->beat($token{$student},
                      { seq => $seq++, @ack ? (ack => \@ack) : () })->{json};
}

sub given {
    my ($student, $id) = @_;

    return Exam::wait_for {
        my ($c) = grep { $_->{id} == $id } @{ beat($student)->{commands} };
        return $c;
    } 15;
}


# ---- there and back

{
    my $id = send_to('group:g', 'message', '{"text":"hello"}');
    my $c = given('S001', $id);

    is_deeply([@$c{qw(type payload)}], ['message', { text => 'hello' }],
              'the heartbeat brings it');
    ok((Exam::wait_for { states($id) =~ /S001:sent/ } 20), 'it is sent');
    ok(!grep({ $_->{id} == $id } @{ beat('S003')->{commands} }),
       'another group is not given it');

    beat('S001', $id);
    ok((Exam::wait_for { states($id) eq 'S001:confirmed S002:queued'
                         || states($id) eq 'S001:confirmed S002:sent' } 20),
       'it is confirmed') or diag(states($id));
    is_deeply(beat('S001')->{commands}, [], 'and not given again');

    ctl('command', 'cancel', $id);
    ok((Exam::wait_for { !@{ beat('S002')->{commands} } } 15),
       'cancelled, nobody is given it');

    # an emptied Redis
    my $other = send_to('all', 'message', '{"text":"again"}');
    ok(given('S001', $other), 'a second one');
    beat('S001', $other);
    ok((Exam::wait_for { states($other) =~ /S001:confirmed/ } 20),
       'confirmed by one');

    Exam::redis_cmd('FLUSHALL');
    ok((Exam::wait_for { Exam::redis_cmd('EXISTS', 'exam:loaded') } 20),
       'Redis is filled again');
    ok(given('S003', $other), 'who had not confirmed it is given it');

    # a new session knows nothing of its own
    $token{S001} = $api->login('30', 'S001')->{json}{token};
    send_to('S001', 'upload_now');

    my $new = (Exam::wait_for {
        my $commands = beat('S001')->{commands};
        return @$commands ? $commands : 0;
    } 15);
    is_deeply([map { $_->{type} } @$new], ['upload_now'],
              'who had is not, in a new session either');
}


# ---- what lasts

{
    send_to('S002', 'lock');
    send_to('S002', 'extra_time', '{"seconds":600}');

    my $ends = ($mysql->sql('SELECT ends_at + 600000 FROM exams'))[0][0];
    my $locked = sub {
        my ($name) = @_;

        my $beat = Exam::wait_for {
            my $b = beat('S002');
            return $b && $b->{status}{locked} && $b->{ends_at} == $ends
                   ? $b : 0;
        } 20;

        ok($beat, "locked, with more time: $name");
    };

    $locked->('at once');
    $token{S002} = $api->login('30', 'S002')->{json}{token};
    ok(beat('S002')->{status}{locked}, 'in the first beat of a new login');
    $api->nginx->reload;
    $locked->('after a reload');
    kill 'KILL', $api->nginx->workers;
    $locked->('after both worker processes were killed');
    $worker->stop('KILL');
    $worker = Exam::worker(ini => "$dir/exam.ini");
    Exam::redis_cmd('FLUSHALL');
    $locked->('after the worker was killed and Redis emptied');
    $api->nginx->stop('QUIT');
    $api = Exam::Api->new(Exam::server(@node));
    $locked->('after nginx was started anew');

    send_to('all', 'unlock');
    ok((Exam::wait_for { !beat('S002')->{status}{locked} } 15), 'unlocked');
}

$worker->stop;
done_testing();
