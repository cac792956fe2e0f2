# A node that has just been started, cold: without Redis it answers from its
# spool, and until it has read that nobody is given a number anew.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Fcntl qw(:flock O_NONBLOCK O_WRONLY);
use IO::Select;
use POSIX ();

use Exam;
use Exam::Api qw(is_problem);
use Exam::Tus;
use Exam::Wire;

my $spool = Exam::spool();
my $body = 'x' x 1000;
my $n = 0;
my ($server, $tus, $lock);

Exam::load_exam('30', students => { S001 => {}, S002 => {} });
Exam::redis()->stop;


# Killed and started anew, with two processes; the scan that finishes and sweeps
# does not begin, as if another process were at it for long.

sub killed {
    if ($server) {
        my @workers = $server->workers;
        $server->stop('KILL');
        kill 'KILL', @workers;
    }

    open $lock, '>', "$spool/recovery.lock" or die "lock: $!\n";
    flock $lock, LOCK_EX or die "flock: $!\n";

    $server = Exam::server(workers => 2);
    $tus = Exam::Tus->new($server);
    return;
}

sub segment {
    my ($n) = @_;
    return ('Upload-Metadata' => Exam::Tus::metadata(kind => 'screen', n => $n,
                                            filetype => 'video/webm'));
}

sub put {
    my ($n, $body) = @_;

    my $c = Exam::Wire->new($server);
    $c->head(PUT => "/api/v1/recordings/screen/$n",
             ['Content-Type' => 'video/webm', 'Content-Length' => length $body,
              Authorization => "Bearer $tus->{token}"]);
    $c->send($body);
    return $c->response;
}

sub post { return $tus->post({ 'Upload-Length' => 1000, segment($_[0]) }) }


# ---- what is incomplete, and what waits for the worker

killed();

my $url = $tus->create(1000, segment(0));
$tus->patch($url, 0, 'hello');
my $done = $tus->create(1000, segment(1));
is $tus->patch($done, 0, $body)->{status}, 204, 'one is whole';

for (1 .. 4) {
    killed();
    my $res = post(0);
    is $res->{status}, 201, 'created again, at once' or diag $res->{body};
    is Exam::Tus::path($res), $url, '... it is the same upload';
    is $tus->offset($url), 5, '... with its prefix';
}

killed();
is_problem(post(1), 409, 'segment_conflict', 'what is whole: not again');
killed();
is put(1, $body)->{status}, 200, '... by PUT the same content';
killed();
is put(1, 'other')->{status}, 409, '... nor another one';

my ($id) = $done =~ m{([^/]+)\z};
rename "$spool/ready/$id.info", "$spool/work/$id.info" or die "rename: $!\n";
killed();
is put(1, $body)->{status}, 200, 'what the worker has claimed: the same';


# ---- as long as the spool is being read

my $fifo = "$spool/ready/t1-" . 'ff' x 16 . '.info';

sub slow {
    POSIX::mkfifo($fifo, 0600) or die "mkfifo: $!\n";
    killed();
    return;
}

sub read_on {
    my $fh;
    Exam::wait_for { sysopen $fh, $fifo, O_WRONLY|O_NONBLOCK } 20
        or die "nobody reads the spool\n";
    unlink $fifo;
    return;
}

Exam::allow_errors(qr/exam exam_manifest_parse\(\) of "ready.+ failed/);

slow();

my @wire = map { Exam::Wire->new($server) } 1 .. 2;
$wire[0]->head(POST => $Exam::Tus::Path, $tus->fields('Content-Length' => 0,
    'Upload-Length' => 1000, segment(0)));
$wire[1]->head(PUT => '/api/v1/recordings/screen/1', ['Content-Length' => 1000,
    'Content-Type' => 'video/webm', Authorization => "Bearer $tus->{token}"]);
$wire[1]->send($body);

is $tus->offset($url), 5, 'who has a Location does not wait';
ok !IO::Select->new($_->{sock})->can_read(0), '... who wants a number does'
    for @wire;

read_on();
is Exam::Tus::path($wire[0]->response), $url, '... until it has been looked for';
is $wire[1]->response->{status}, 200, '... also by PUT';

slow();
my $res = post(2);
is_problem($res, 503, 'unavailable', 'but not for ever');
like $res->{headers}{'retry-after'}, qr/^[0-9]+\z/, '... and when to come again';
is put(3, $body)->{status}, 201, 'a PUT is never refused for that';
read_on();

done_testing();
