# What a killed process was told, the node goes on to tell: an acknowledgement
# that the zone has heard of reaches journal and control stream without another
# word of the client (design, section 5).

use strict;
use warnings;

use lib 't/lib';

use POSIX ();
use Test::More;

use Exam;
use Exam::Api;
use Exam::Command;
use Exam::Process;

Exam::allow_errors(qr/worker process \d+ exited on signal 9/);

$SIG{PIPE} = 'IGNORE';

my $redis = Exam::redis(aof => 1);
my $code = $Exam::Api::Code;

Exam::load_exam('30', students => { map { $_ => { code => $code } }
                                        qw(S001 S002) });

my $api = node_at('n1', workers => 1);
my %token = map { $_ => $api->login('30', $_)->{json}{token} } qw(S001 S002);


# The process that serves, unless it is $old.

sub worker {
    my ($old) = @_;

    my $pid;

    Exam::wait_for {
        ($pid) = $api->nginx->workers;
        return $pid && $pid != ($old // 0);
    };
    return $pid;
}


# Ends the process when it next writes to its journal; false where processes
# cannot be traced.

sub kill_at_journal {
    my ($pid) = @_;

    my ($file) = glob "$api->{spool}/journal/*-$pid-*.log";
    my $strace = fork // die "fork: $!\n";

    if ($strace == 0) {
        open STDERR, '>', Exam::dir() . '/strace.err';
        exec 'strace', '-f', '-q', '-o', '/dev/null', '-e', 'trace=write',
             '-P', $file, '-e', 'inject=write:signal=KILL:when=1', '-p', $pid
            or POSIX::_exit(127);
    }

    my $traced = Exam::wait_for {
        return -1 if waitpid($strace, POSIX::WNOHANG()) != 0;
        return !grep { Exam::slurp($_) =~ /^TracerPid:\s+0$/m }
                     glob "/proc/$pid/task/*/status";
    };

    return $traced && $traced != -1;
}


# ---- before the journal has it

SKIP: {
    my $id = command('30', students => ['S001']);

    ok(wait_given($api, $token{S001}, $id), 'given');
    ok(Exam::wait_for { recorded($api->{spool}, 'sent')->{"$id S001"} },
       'which is in the journal');

    my $worker = worker();

    skip 'processes cannot be traced here', 4 if !kill_at_journal($worker);

    # the answer may be lost with the process

    eval { given($api, $token{S001}, $id) };
    ok(worker($worker), 'acknowledged to a process that is killed then');
    is(recorded($api->{spool}, 'ack')->{"$id S001"}, undef,
       'before it is in the journal');

    ok(Exam::wait_for {
        eval { given($api, $token{S001}) };
        recorded($api->{spool}, 'ack')->{"$id S001"};
    }, 'the next beat brings it there');
    ok(Exam::wait_for { reported('30', 'ack')->{"$id S001"} },
       'and to the control stream');
}


# ---- before Redis has it

$api->connected;

my $id = command('30', students => ['S002']);

ok(wait_given($api, $token{S002}, $id), 'given');
$redis->stop;
given($api, $token{S002}, $id);
ok(Exam::wait_for { recorded($api->{spool}, 'ack')->{"$id S002"} },
   'acknowledged while Redis is away');

my $worker = worker();

kill 'KILL', $worker;
ok(worker($worker), 'the process is killed');

$redis = Exam::Process->redis(dir => Exam::dir() . '/redis', aof => 1);
{ local $SIG{__WARN__} = sub { }; eval { Exam::redis_cmd('PING') } for 1, 2; }

ok((Exam::wait_for { reported('30', 'ack')->{"$id S002"} } 20),
   'Redis is told when it is back, though the client says nothing more');

done_testing();
