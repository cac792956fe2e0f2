# The network between the clients and nginx (lib/Proxy.pm), without which the
# other files prove nothing: it holds a body where it is told to, breaks,
# hangs, and says which worker process has a connection.

use strict;
use warnings;

use lib 't/lib', 't/clients/lib';

use Test::More;

use Exam;
use Exam::Api;
use Exam::Wire;
use Proxy qw(children);

my $size = 4_000_000;
my $body = join '', map { pack 'N', $_ } 1 .. $size / 4;

Exam::load_exam('30', students => { S001 => {} });

my $nginx = Exam::server(workers => 2, allow => [qr/signal 9/]);
my $api = Exam::Api->new($nginx);
my $net = Proxy->new($nginx);
my $token = Exam::token(exam => '30', student => 'S001', gen => 1000);
my $n = 0;


# A PUT that has begun: the connection.

sub put {
    my $c = Exam::Wire->new($net);

    $c->head(PUT => '/api/v1/recordings/screen/' . $n++, [
        Authorization => "Bearer $token", 'Content-Type' => 'video/webm',
        'Content-Length' => $size ]);

    return $c;
}


# What lies in part files, all of them.

sub written {
    my $sum = 0;
    $sum += -s $_ // 0 for glob Exam::spool() . '/part/*/*.part';
    return $sum;
}


# A body that is too much for the buffers is sent by a process of its own.

sub send_in_background {
    my ($c) = @_;

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        $c->send($body);
        POSIX::_exit(0);
    }

    return $pid;
}


my $c = put();
$c->send($body);
my $res = $c->response;
is($res->{status}, 201, 'a body passes');
ok(Exam::slurp(Exam::spool() . "/ready/$res->{json}{id}.rec") eq $body,
   'byte for byte');
$c->close;

# held

$net->hold(2_000_000);
$c = put();
my $pid = send_in_background($c);
ok($net->held, 'two million bytes are passed on');
ok((Exam::wait_for { written() > 1_000_000 }), 'nginx has written of them');
ok(written() <= 2_000_000, 'and got no more');

my ($holder, @more) = $net->holders;
ok($holder && !@more, 'one process has the connection');
ok((grep { $_ == $holder } $nginx->workers), 'a worker process of nginx');

$net->free;
is($c->response->{status}, 201, 'then the rest');
waitpid $pid, 0;
$c->close;

# each worker process in turn

for my $worker ($nginx->workers) {
    $net->to($worker);
    $c = put();
    is_deeply([$net->holders], [$worker], 'the process that was asked for');
    $c->close;
    ok((Exam::wait_for { !@{ $net->state->{ports} } }),
       'a client that leaves is gone');
}

$net->to;

# broken

$net->hold(1_000_000);
$c = put();
$pid = send_in_background($c);
$net->held;
$net->cut;
waitpid $pid, 0;
ok(!defined eval { $c->response }, 'a broken connection has no answer');
ok((Exam::wait_for { $api->status->{active_uploads} == 0 }),
   'nginx sees its end');
$net->free;

$net->down;
$c = Exam::Wire->new($net);
ok($c->closed, 'without a network nothing is taken');
$net->up;

# hung

$c = put();
my ($before) = $net->holders;
$net->freeze;
ok(!$c->closed(0.5), 'a connection that hangs is not closed');
is_deeply([map { Proxy::holder($nginx->{port}, $_, children($nginx)) }
           @{ $net->state->{frozen} }], [$before], 'for nginx it is there');

my $new = Exam::Wire->new($net);
$new->head(GET => '/health');
is($new->response->{status}, 200, 'a new one is served meanwhile');
$new->close;

# the end of a process

$net->hold(1_000_000);
$c = put();
$pid = send_in_background($c);
$net->held;
($holder) = $net->holders;
kill 'KILL', $holder;
waitpid $pid, 0;
ok(!defined eval { $c->response }, 'its connections end with a process');
ok((Exam::wait_for { 2 == grep { $_ != $holder } $nginx->workers }),
   'and another one comes');

is($net->stop, 0, 'the network leaves in order');
done_testing();
