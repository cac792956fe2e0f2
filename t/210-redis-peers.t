# Strange peers behind exam_redis: whatever a server sends, cuts off or keeps
# to itself, heartbeats are answered, logins are declined and the worker
# process lives.  And a Redis with a password and numbered databases.

use strict;
use warnings;

use lib 't/lib';

use IO::Select;
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw(sleep);

use Exam;
use Exam::Api qw(is_problem);

$SIG{PIPE} = 'IGNORE';

my $dir = Exam::dir();
my $token = Exam::token(exam => '30', student => 'S001');


# Runs handle(socket, bytes, state) for whatever clients send, until the test
# closes the pipe; undef bytes: just connected.  A false value closes.

sub peer {
    my ($path, $handle) = @_;

    my $listen = IO::Socket::UNIX->new(Local => $path, Listen => 8)
        or die "cannot listen: $!\n";

    pipe my $read, my $write or die "pipe: $!\n";

    my $pid = fork // die "fork: $!\n";

    if ($pid) {
        close $read;
        return { pid => $pid, until => $write };
    }

    close $write;

    my $select = IO::Select->new($listen, $read);
    my %state;

    while (my @ready = $select->can_read) {
        for my $sock (@ready) {
            POSIX::_exit(0) if $sock == $read;

            my $bytes;
            my $client = $sock;

            if ($sock == $listen) {
                $client = $listen->accept or next;
                $select->add($client);
                $state{$client} = {};

            } elsif (!sysread $sock, $bytes, 65536) {
                $select->remove($sock);
                close $sock;
                next;
            }

            next if $handle->($client, $bytes, $state{$client});

            $select->remove($client);
            close $client;
        }
    }
}


sub gone {
    my ($peer) = @_;

    close $peer->{until};
    waitpid $peer->{pid}, 0;
}


sub start {
    my ($redis, @allow) = @_;

    # no tick of the flush asks anything between two answers

    return Exam::server(
        http => Exam::http_lines(exam_redis => $redis,
                                 exam_flush_interval => '10s',
                                 exam_redis_timeout => '300ms'),
        allow => \@allow);
}


my $script = qr/\*3\r\n\$6\r\nSCRIPT\r\n/;
my $sha = '$40' . "\r\n" . 'a' x 40 . "\r\n";

# name, what the log says, what the peer does

my @peers = (
    [silent => qr/connecting timed out/, sub { 1 }],
    [deaf => qr/is away: /, sub { 0 }],
    ['speaks HTTP' => qr/Protocol error/, sub {
        my ($sock, $bytes) = @_;
        return !defined $bytes || $sock->syswrite("HTTP/1.1 400 no\r\n\r\n");
    }],
    ['greets first' => qr/connecting timed out/, sub {
        my ($sock, $bytes) = @_;
        $sock->syswrite("+OK ready\r\n") unless defined $bytes;
        return 1;
    }],
    ['closes in the middle' => qr/closed the connection/, sub {
        my ($sock, $bytes) = @_;
        return 1 unless defined $bytes;
        $sock->syswrite(substr $sha, 0, 20);
        return 0;
    }],
    ['is loading' => qr/LOADING/, sub {
        my ($sock, $bytes) = @_;
        $sock->syswrite("-LOADING data\r\n" x (() = $bytes =~ /$script/g))
            if defined $bytes;
        return 1;
    }],
    ['answers once too often' => qr/unexpected answer/, sub {
        my ($sock, $bytes) = @_;
        my $calls = () = ($bytes // '') =~ /^\*\d+\r$/mg;
        my $scripts = () = ($bytes // '') =~ /$script/g;

        $sock->syswrite($sha x $scripts . "*0\r\n" x ($calls - $scripts));

        # behind the calls that were waiting, so that none waits for it
        sleep 0.1 if $calls > $scripts;
        $sock->syswrite("+hello\r\n") if $calls > $scripts;
        return 1;
    }],
    ['answers too large' => qr/Protocol error|away/, sub {
        my ($sock, $bytes) = @_;
        $sock->syswrite("*99999999999999999999\r\n") if defined $bytes;
        return 1;
    }],
);

for my $case (@peers) {
    my ($name, $log, $handle) = @$case;

    my $peer = peer("$dir/peer", $handle);
    my $nginx = start("unix:$dir/peer");
    my $api = Exam::Api->new($nginx, redis => 0);
    my $worker = Exam::wait_for { ($nginx->workers)[0] };

    ok((Exam::wait_for { Exam::slurp($nginx->{error_log}) =~ $log } 15),
       "a peer that $name: the log says so")
        or diag(Exam::slurp($nginx->{error_log}));
    is($api->beat($token)->{status}, 200, "$name: heartbeat");
    is_problem($api->login('30', 'S001'), 503, 'redis_unavailable',
               "$name: login");
    is(($nginx->workers)[0], $worker, "$name: the process lives");
    ok(defined $nginx->stop('QUIT', 10), "$name: it ends");

    gone($peer);
    unlink "$dir/peer";
}


# ---- a password, a database

{
    my $redis = Exam::Process->redis(dir => "$dir/locked");
    my $client = Exam::Redis->new($redis->socket);

    $client->cmd('CONFIG', 'SET', 'requirepass', 'hush');
    $client->cmd('AUTH', 'hush');
    Exam::spew("$dir/wrong", "guess\n");
    Exam::spew("$dir/right", "hush\r\n");

    my $at = 'unix:' . $redis->socket;

    for my $case (['', qr/\[error\].*is away: NOAUTH/],
                  [" password_file=$dir/wrong", qr/\[error\].*WRONGPASS/],
                  [" password_file=$dir/right db=9999",
                   qr/\[error\].*DB index is out of range/])
    {
        my ($options, $log) = @$case;

        my $nginx = start($at . $options,
                          qr/is away: (?:NOAUTH|WRONGPASS|ERR DB)/);
        my $api = Exam::Api->new($nginx, redis => 0);

        ok((Exam::wait_for { Exam::slurp($nginx->{error_log}) =~ $log } 15),
           "refused: $log");
        is_problem($api->login('30', 'S001'), 503, 'redis_unavailable',
                   'a login meanwhile');
        $nginx->stop('QUIT', 10);
        is(scalar(() = Exam::slurp($nginx->{error_log}) =~ /\[error\]/g), 1,
           'told once');
        unlike(Exam::slurp($nginx->{error_log}), qr/hush|guess/,
               'without the password');
    }

    my $nginx = start("$at password_file=$dir/right db=2");
    my $api = Exam::Api->new($nginx);

    is_problem($api->login('30', 'S001'), 503, 'roster_loading',
               'the right password');
    $client->cmd('SELECT', 2);
    $client->cmd('SET', 'exam:loaded', 1);
    is_problem($api->login('30', 'S001'), 401, 'invalid_credentials',
               'the right database');
}

done_testing();
