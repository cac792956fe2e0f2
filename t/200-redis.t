# Redis away, hanging, restarted, refusing, forgetful: what the module answers
# meanwhile, and that it finds its way back (design, sections 4 and 5).

use strict;
use warnings;

use lib 't/lib';

use Test::More;
use Time::HiRes qw(time);

use Exam;
use Exam::Api qw(is_problem raw_request session);

# the client of this file meets a Redis that was killed
$SIG{PIPE} = 'IGNORE';

my $code = $Exam::Api::Code;
my $redis = Exam::redis();

sub load {
    Exam::load_exam('30', students => { map { $_ => { code => $code } }
                                            'S001' .. 'S050' });
}

load();

# few connections: one that is not given back is soon missed
my $nginx = Exam::server(connections => 32,
                         http => Exam::http_lines(exam_redis_timeout => '1s',
                                                  exam_heartbeat_rate => 0,
                                                  exam_poll_rate => 0));
my $api = Exam::Api->new($nginx);
my $next = 1;

sub student { return sprintf 'S%03d', $next++ }


# how often the log says it, on or after a line
sub told {
    my ($pattern) = @_;

    return scalar(() = Exam::slurp($nginx->{error_log}) =~ /$pattern/g);
}


sub up { return $api->status->{redis}{state} eq 'up' }


# Begins a login; the answer is read from the socket later.
sub begin {
    my ($student) = @_;

    my $sock = $api->connect;

    $sock->syswrite(raw_request('POST', '/api/v1/login', [],
        qq({"exam":"30","student":"$student","code":"$code"})));
    return $sock;
}


sub end { return ($api->raw('', sock => $_[0]))[0] }


# the table of section 4: Redis is away
sub away {
    my ($token, $why) = @_;

    my $start = time;

    is($api->beat($token)->{status}, 200, "$why: heartbeat");
    is($api->me($token)->{status}, 200, "$why: me");
    is($api->me($token)->{json}{degraded}[0], 'redis', "$why: me says so");
    is_problem($api->login('30', student()), 503, 'redis_unavailable',
               "$why: login");
    is($api->get('/ready')->{status}, 200, "$why: ready");
    is($api->get('/ready')->{json}{degraded}[0], 'redis',
       "$why: ready says so");
    is($api->status->{redis}{state}, 'down', "$why: status says so");
    cmp_ok(time - $start, '<', 0.9, "$why: nobody waits for a timeout");
}

my $login = $api->login('30', 'S050');
my $token = $login->{json}{token};
is($login->{status}, 200, 'a login');


# ---- stopped: those who wait are told at the deadline, the next at once

{
    my ($worker) = $nginx->workers;

    kill 'STOP', $redis->pid;

    my $start = time;
    my @waiting = map { begin(student()) } 1 .. 3;

    is($api->beat($token)->{status}, 200, 'a heartbeat while logins wait');
    ok((Exam::wait_for { $api->status->{redis}{pending} >= 3 }),
       'they are pending');
    is_problem(end($_), 503, 'redis_unavailable', 'a login that waited')
        for @waiting;
    cmp_ok(time - $start, '>', 0.7, 'it waited');
    cmp_ok(time - $start, '<', 5, 'not for long');

    away($token, 'stopped');

    ok((Exam::wait_for { told(qr/is away: connecting timed out/) } 20),
       'it is tried again in the meantime');
    kill 'CONT', $redis->pid;
    ok((Exam::wait_for { up() } 20), 'it goes on');
    is($api->login('30', student())->{status}, 200, 'and a login');
    is(($nginx->workers)[0], $worker, 'all in the same process');
    is(told(qr/\[warn\].*is away/), 1, 'one warning');
    is(told(qr/connected after \d+ ms, [1-9]\d* calls were declined/), 1,
       'and what it cost');
}


# ---- killed while calls wait: they are told at once

{
    kill 'STOP', $redis->pid;

    my $waiting = begin(student());
    my $leaving = begin(student());
    ok((Exam::wait_for { $api->status->{redis}{pending} >= 2 }), 'pending');

    # the answer will come for a request that is no more
    close $leaving;
    ok((Exam::wait_for { $api->status->{current_connections} <= 2 }),
       'a client has left');

    my $start = time;
    $redis->stop('KILL');
    is_problem(end($waiting), 503, 'redis_unavailable', 'killed: told');
    cmp_ok(time - $start, '<', 0.9, 'before the deadline');

    away($token, 'killed');

    my $settled = $api->status->{redis}{pending};
    is($settled, 0, 'nothing is pending');

    $redis = Exam::Process->redis;
    load();
    ok((Exam::wait_for { up() } 20), 'started again');
    is($api->login('30', student())->{status}, 200,
       'the new server has the scripts');
    ok((Exam::wait_for { my $s = session('30', 'S050');
                         $s && $s->{sid} eq $login->{json}{session} }),
       'and is told of the sessions it never knew');
}


# ---- it forgets the scripts

{
    Exam::redis_cmd('SCRIPT', 'FLUSH');
    is($api->login('30', student())->{status}, 200,
       'scripts are loaded again within the call');
}


# ---- it is there, but refuses

for my $case ([maxmemory => 1, 0], ['min-replicas-to-write' => 1, 0]) {
    my ($name, $value, $before) = @$case;

    Exam::redis_cmd('CONFIG', 'SET', $name, $value);
    is_problem($api->login('30', student()), 503, 'redis_unavailable',
               "$name: login");
    is($api->beat($token)->{status}, 200, "$name: heartbeat");
    Exam::redis_cmd('CONFIG', 'SET', $name, $before);
    is($api->login('30', student())->{status}, 200, "$name: over");
}

{
    Exam::redis_cmd('REPLICAOF', '127.0.0.1', 1);
    is_problem($api->login('30', student()), 503, 'redis_unavailable',
               'a replica: login');
    Exam::redis_cmd('REPLICAOF', 'NO', 'ONE');
    is($api->login('30', student())->{status}, 200, 'a replica no more');
}


# ---- an idle connection to a server that hangs is noticed

{
    # a node without sessions: it has nothing to flush and nothing to read

    Exam::Api->new(Exam::server(http => Exam::http_lines(
        exam_zone => 'idle:1m', exam_node => 't2')));
    Exam::redis_cmd('CONFIG', 'RESETSTAT');
    ok((Exam::wait_for {
            Exam::redis_cmd('INFO', 'commandstats') =~ /cmdstat_ping:/ } 20),
       'an idle connection is pinged');

    kill 'STOP', $redis->pid;
    ok((Exam::wait_for { !up() } 20), 'an idle hang is noticed');
    kill 'CONT', $redis->pid;
    ok((Exam::wait_for { up() } 20), 'up again');
}


# ---- connections are given back: no descriptor more, no slot less

{
    my ($worker) = $nginx->workers;
    my $count = sub { scalar(() = glob "/proc/$worker/fd/*") };

    $api->status;
    my $before = $count->();
    my $connects = $api->status->{redis}{reconnects};

    for (1 .. 40) {
        Exam::redis_cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        Exam::wait_for { $api->status->{redis}{reconnects} > $connects } 20;
        $connects = $api->status->{redis}{reconnects};

        # an answer, so that the next try does not wait longer
        $api->me($token);
    }

    cmp_ok($connects, '>=', 40, 'reconnected each time');
    is($api->login('30', student())->{status}, 200, 'and served');
    ok((Exam::wait_for { $count->() <= $before } 5), 'no descriptor more');
}


# ---- reload and end

{
    my ($old) = $nginx->workers;

    kill 'STOP', $redis->pid;
    my $waiting = begin(student());
    Exam::wait_for { $api->status->{redis}{pending} >= 1 };

    kill 'HUP', $nginx->pid;
    Exam::wait_for { my ($now) = $nginx->workers; $now && $now != $old };
    kill 'CONT', $redis->pid;

    is(end($waiting)->{status}, 200,
       'a process that leaves waits for the answer');
    ok((Exam::wait_for { !-e "/proc/$old" }), 'then it leaves');
    $api->connected;
}

{
    $redis->stop('KILL');
    ok((Exam::wait_for { !up() }), 'away');

    my ($old) = $nginx->workers;
    $nginx->reload;
    ok((Exam::wait_for { !-e "/proc/$old" }),
       'Redis that is away keeps no process');
    ok(!up(), 'away from the start');
    away($token, 'away from the start');

    $redis = Exam::Process->redis;
    load();
    ok((Exam::wait_for { up() } 20), 'found later');

    ok(defined $nginx->stop('QUIT', 10), 'quit');
    unlike(Exam::slurp($nginx->{error_log}), qr/open socket|aborting/,
           'no socket is left open');
}

done_testing();
