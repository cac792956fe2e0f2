# Redis emptied under a running exam, with nginx and the worker at work: until
# it is filled again logins are asked to come back, and nobody is told anything
# else; afterwards sessions, `stored` and flags are as they were.

use strict;
use warnings;

use lib 't/lib';

use Test::More;

use Exam;
use Exam::Api qw(is_problem session);
use Exam::Process;

my $mysql = Exam::mysql();
my $dir = Exam::dir();
my $code = $Exam::Api::Code;
my $wrong = '9999-9999-9999-9999';

sub sql { return $mysql->sql(@_) }

sub ctl {
    my ($rc, $out, $err) = Exam::examctl(@_);
    is("$rc $err", '0 ', join ' ', 'examctl', grep { defined } @_[0, 1]);
    return $out;
}

Exam::ini(worker => { log => "$dir/worker.log" });
ctl('migrate');
ctl('exam', 'create', 30, '--title', 'x');
Exam::spew("$dir/in.csv", join "\n", 'student,name,code,group',
           map { sprintf 'S%03d,N,%s,g%d', $_, $code, $_ % 2 } 1 .. 400);
ctl('roster', 'import', 30, "$dir/in.csv", '--codes', "$dir/codes.csv");
ctl('exam', 'open', 30);
ctl('exam', 'create', 31, '--title', 'x');

my $worker = Exam::worker(ini => "$dir/exam.ini");
ok((Exam::wait_for { Exam::redis_cmd('EXISTS', 'exam:loaded') } 20), 'loaded');

my $api = Exam::Api->new(Exam::server(workers => 2,
    http => Exam::http_lines(exam_heartbeat_rate => '0',
                             exam_poll_rate => '0')));

my $login = $api->login('30', 'S001')->{json};
my $token = $login->{token};
my $sid = $login->{session};

ok($token, 'a candidate is logged in');
is($api->req('PUT', '/api/v1/recordings/screen/0',
             { Authorization => "Bearer $token",
               'Content-Type' => 'video/webm' }, 'data')->{status}, 201,
   'and sends a segment');
ok((Exam::wait_for { (Exam::redis_cmd('HGET', 'exam:{30}:stored',
                                "S001:$sid:screen") // '') eq '0' } 20),
   'it is stored');
ctl('command', 'send', 30, '--to', 'S001', '--type', 'lock');

# from the journal, whoever writes it when
sql("INSERT IGNORE INTO sessions (session, exam, student, gen, node, ip, "
    . "login_at) VALUES ('$sid', '30', 'S001', $login->{gen}, 't1', "
    . "'127.0.0.1', $login->{gen})");

my $before = session('30', 'S001');


# ---- emptied, and nobody there who could fill it

$worker->stop;
Exam::redis_cmd('FLUSHALL');

is_problem($api->login('30', 'S002'), 503, 'roster_loading', 'a right code');
is_problem($api->login('30', 'S002', $wrong), 503, 'roster_loading',
           'a wrong one');
is_problem($api->login('30', 'nobody'), 503, 'roster_loading',
           'a student whom nobody knows');
is_problem($api->login('99', 'S002'), 503, 'roster_loading', 'nor the exam');
is($api->beat($token)->{status}, 200, 'heartbeats go on');


# ---- while it is filled: asked all the time

my %told;
my $flags = 'exam:{30}:flags';

# the second exam is held by another program: the refill waits half way

open my $holder, '-|', 'exec mariadb --no-defaults -uroot -S '
    . $mysql->socket . " --unbuffered -N -e \"SELECT GET_LOCK('exam-live:31',"
    . ' 0); DO SLEEP(60)" 2>/dev/null' or die;
<$holder>;

$worker = Exam::worker(ini => "$dir/exam.ini");

ok((Exam::wait_for {
        Exam::redis_cmd('HEXISTS', 'exam:{30}:roster', '_v')
        && Exam::redis_cmd('HEXISTS', 'exam:{30}:sessions', 'S001')
    } 20), 'one exam is there, the next one is not');
is_problem($api->login('30', 'S002'), 503, 'roster_loading',
           'nobody is let in yet');
is($api->beat($token)->{status}, 200, 'heartbeats still go on');

my ($waits) = sql("SELECT id FROM information_schema.processlist WHERE info "
                  . "LIKE '%SLEEP(60)%' AND info NOT LIKE '%processlist%'");
sql("KILL $waits->[0]");
{ no warnings; close $holder }

my $in = Exam::wait_for {
    my $res = $api->login('30', 'S002');

    $told{$res->{status} == 200 ? 200 : $res->{json}{code}}++;

    # a half state would show here
    if ($res->{status} == 200) {
        ok(Exam::redis_cmd('HEXISTS', 'exam:{30}:sessions', 'S001'),
           'who is let in finds the sessions of all');
        is(Exam::redis_cmd('HLEN', 'exam:{30}:roster'), 401,
           'and the whole roster');
        like(Exam::redis_cmd('HGET', $flags, 'S001') // '', qr/"locked":true/,
             'and the flags');
        is(Exam::redis_cmd('HGET', 'exam:{30}:stored', "S001:$sid:screen"), 0,
           'and the ledger');
    }

    my $beat = $api->beat($token)->{status};
    $told{"beat $beat"}++ if $beat != 200;

    return $res->{status} == 200;
} 20;

ok($in, 'then logins pass');
is_deeply([sort grep { $_ ne '200' && $_ ne 'roster_loading' } keys %told],
          [], 'nobody was told anything but to come back');

is_problem($api->login('30', 'S003', $wrong), 401, 'invalid_credentials',
           'a wrong code is wrong again');


# ---- as it was

is_deeply([@{ session('30', 'S001') }{qw(sid gen ended)}],
          [@$before{qw(sid gen ended)}], 'the session is the same one');
ok((Exam::wait_for {
        my $beat = $api->beat($token)->{json};
        return $beat->{status}{locked} && defined $beat->{stored}{screen}
               && $beat->{stored}{screen} == 0 && $beat->{stored}{camera} == -1;
    } 15), 'a locked one is locked, stored is what it was, the other -1');
is($api->req('PUT', '/api/v1/recordings/screen/0',
             { Authorization => "Bearer $token",
               'Content-Type' => 'video/webm' }, 'data')->{status}, 200,
   'a segment that was stored is known');

my @ops = map { my %e = @{ $_->[1] }; $e{op} }
              @{ Exam::redis_cmd('XRANGE', 'exam:{30}:control', '-', '+') };
is((grep { $_ eq 'send' } @ops), 1, 'the command stands in the stream');

$worker->stop;
done_testing();
