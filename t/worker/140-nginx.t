# The journal and the watch with the real nginx: what candidates do stands in
# MySQL, once, and who is silent is declared.  An interval of two seconds.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Test::More;
use Exam;
use Exam::Api qw(claims_of);
use Exam::Process;
use Spool qw(wait_for);

$SIG{PIPE} = 'IGNORE';

my $mysql = Exam::mysql();
my $code = $Exam::Api::Code;
my $n = 0;

Exam::redis();
Spool::tables($mysql);

$mysql->sql('INSERT INTO students (exam, student, name, code_sha256,'
    . ' created_at) VALUES ' . join ', ', map {
        "('30', '$_', 'N', UNHEX('" . Exam::code_hash('30', $_, $code)
        . "'), 1)"
    } qw(S001 S002));

Exam::ini(worker => { heartbeat_s => 2, offline_s => 4, probe => 'off' });

my $worker = Exam::worker(ini => Exam::dir() . '/exam.ini');

ok((wait_for { Exam::redis_cmd('EXISTS', 'exam:loaded') } 20),
   'the worker has loaded Redis');

my $nginx = Exam::server(workers => 2, allow => [qr/signal 9/, qr/exam redis/],
    http => Exam::http_lines(exam_heartbeat_interval => '2s',
                             exam_offline_after => '4s'));
my $api = Exam::Api->new($nginx);


sub rows {
    my ($sql) = @_;
    return [map { [@$_] } $mysql->sql($sql)];
}


sub declared {
    my ($sid) = @_;

    return join ' ', map { "$_->{state}/$_->{cause}" }
        grep { $_->{type} eq 'presence' && $_->{sid} eq $sid }
        map { +{ @{ $_->[1] } } }
        @{ Exam::redis_cmd('XRANGE', 'exam:{30}:changes', '-', '+') };
}


sub beat {
    my ($token) = @_;
    return $api->beat($token, { seq => $n++ })->{status} == 200;
}


my ($token, $other) = map { $api->login('30', $_)->{json}{token} }
                      qw(S001 S002);
my ($sid, $other_sid) = map { claims_of($_)->{sid} } $token, $other;

ok(beat($token) && beat($other), 'two candidates');

my $events = { events => [
    { id => 'e1', type => 'blur', client_time => 5, data => { a => [1] } },
    { id => 'e2', type => 'focus' } ] };

is($api->post('/api/v1/events', $events, $token)->{status}, 202, 'events');
is($api->post('/api/v1/recordings/screen/3/lost', { reason => 'gone' },
              $token)->{status}, 200, 'a segment that is lost');

# the same events by another process
kill 'KILL', $_ for $nginx->workers;
$api = Exam::Api->new($nginx);
ok((wait_for { ($api->post('/api/v1/events', $events, $token)->{status} // 0)
               == 202 }), 'the same events, sent again to another process');
is($api->logout($other)->{status}, 200, 'a logout');

ok((wait_for { @{ rows("SELECT 1 FROM sessions WHERE ended = 'logout'") } } 15),
   'all of it is in MySQL');
is_deeply(rows('SELECT session, student, node, ip, ended FROM sessions'
               . ' ORDER BY student'),
          [[$sid, 'S001', 't1', '127.0.0.1', ''],
           [$other_sid, 'S002', 't1', '127.0.0.1', 'logout']], 'the sessions');
ok((wait_for { @{ rows('SELECT 1 FROM presence') } == 2 } 15),
   'their first beats');
is_deeply(rows('SELECT session, event, type, client_time, data FROM events'
               . ' ORDER BY event'),
          [[$sid, 'e1', 'blur', 5, '{"a":[1]}'],
           [$sid, 'e2', 'focus', undef, undef]], 'each event once');
ok((wait_for { @{ rows('SELECT 1 FROM lost_segments') } }), 'what is lost');
is_deeply(rows('SELECT session, kind, n, reason FROM lost_segments'),
          [[$sid, 'screen', 3, 'gone']], 'with its reason');

# S001 falls silent, and comes back

beat($token);
ok((wait_for { declared($sid) eq 'late/candidate offline/candidate' } 30),
   'silence is declared');
is(declared($other_sid), '', 'a logout is none');
ok(beat($token), 'a beat');
ok((wait_for { declared($sid)
               eq 'late/candidate offline/candidate online/candidate' } 15),
   'it is back');
ok((wait_for { @{ rows("SELECT 1 FROM gaps WHERE session = '$sid'"
                       . " AND cause = 'client'") } } 15),
   'the gap is in MySQL, with its cause');

# the node dies, master and all

my @pids = $nginx->workers;
beat($token);
$nginx->stop('KILL');
kill 'KILL', @pids;
wait_for { declared($sid) =~ m{online/candidate offline/} } 40;
like(declared($sid), qr{online/candidate offline/node$},
     'a node that dies is the cause');

is($worker->stop, 0, 'the worker leaves in order');
done_testing();
