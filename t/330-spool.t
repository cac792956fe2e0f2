# The spool after crashes: what a start finishes, removes and leaves alone, and
# what a node knows without Redis.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256_hex);
use Fcntl qw(:flock);
use File::Path qw(make_path);

use Exam;
use Exam::Wire;

my $spool = Exam::spool();

Exam::load_exam('30', students => { map { $_ => {} } 'S001' .. 'S003' });
Exam::allow_errors(qr/worker process \d+ exited on signal 9/);


sub fields {
    my (%more) = @_;

    my $student = delete $more{student} // 'S001';
    my %fields = ('Content-Type' => 'video/webm', 'Content-Length' => 5,
                  Authorization => 'Bearer ' . Exam::token(
                      exam => '30', student => $student, gen => 1000), %more);

    return [map { defined $fields{$_} ? ($_, $fields{$_}) : () }
            sort keys %fields];
}


sub put {
    my ($server, $n, $body, %more) = @_;

    my $c = Exam::Wire->new($server);
    $c->head(PUT => "/api/v1/recordings/screen/$n",
             fields('Content-Length' => length $body, %more));
    $c->send($body);
    return $c->response;
}


sub get {
    my ($server, $n, %more) = @_;

    my $c = Exam::Wire->new($server);
    $c->head(GET => "/api/v1/recordings/screen/$n",
             fields('Content-Length' => undef, %more));
    return $c->response;
}


sub status { return Exam::request('GET', "$_[0]{url}/status")->{json} }

sub files {
    my @files = sort map { s{^\Q$spool\E/}{}r } glob("$spool/$_[0]");
    return @files;
}

sub eventually {
    my ($true) = @_;
    return Exam::wait_for { $true->() } 10;
}


sub id { return sprintf 't1-%s%030x', $_[0], 7 }

sub manifest {
    my ($id, %change) = @_;

    my %m = (version => 1, id => $id, exam => '30', student => 'S002',
             session => Exam::sid('30', 'S002'), gen => 1000,
             kind => 'screen', n => 0, length => 5, durable_offset => 5,
             sha256 => sha256_hex('hello'), content_type => 'video/webm',
             started_at => undef, duration_ms => undef, offset_ms => undef,
             received_at => Exam::now_ms(), node => 't1',
             boot_id => '0' x 36, %change);

    return JSON::PP->new->canonical->encode(\%m) . "\n";
}


# ---- what processes that died have left

mkdir "$spool/$_" for qw(part ready work bad), map { "part/$_" }
    qw(aa ab ac ad ae af b0 b1 b2 b3);

my %file = (
    # died while receiving, and at each step of the finish sequence
    'part/aa/' . id('aa') . '.part' => 'hel',
    'part/ab/' . id('ab') . '.part' => 'hello',
    'part/ab/' . id('ab') . '.tmp' => '{"version":1,',
    'part/ac/' . id('ac') . '.part' => 'hello',
    'part/ac/' . id('ac') . '.info' => manifest(id('ac')),
    'ready/' . id('ad') . '.rec' => 'hello',
    'part/ad/' . id('ad') . '.info' => manifest(id('ad'), n => 1),
    'ready/' . id('ae') . '.rec' => 'hello',
    'ready/' . id('ae') . '.info' => manifest(id('ae'), n => 2),

    # the worker has claimed it, or found it bad
    'ready/' . id('af') . '.rec' => 'hello',
    'work/' . id('af') . '.info' => manifest(id('af'), n => 3),
    'ready/' . id('b0') . '.rec' => 'hello',
    'bad/' . id('b0') . '.info' => manifest(id('b0'), n => 4),

    # died while removing
    'ready/' . id('b1') . '.rec' => 'hello',
    'part/b1/' . id('b1') . '2.info' => 'not an id',
    'part/b2/' . id('b2') . '.info' => manifest(id('b2')),

    # not final: an upload that can be resumed
    'part/b3/' . id('b3') . '.part' => 'hel',
    'part/b3/' . id('b3') . '.info' => manifest(id('b3'),
        sha256 => undef, length => 5, durable_offset => 3,
        received_at => undef),

    # of other programs
    'ready/notes.txt' => 'x',
);

Exam::spew("$spool/$_", $file{$_}) for keys %file;

my $server = Exam::server(workers => 1);

ok eventually(sub { -e "$spool/ready/" . id('ad') . '.info' }),
    'a final manifest: finished';

my %gone = map { $_ => 1 } (
    'part/aa/' . id('aa') . '.part', 'part/ab/' . id('ab') . '.part',
    'part/ab/' . id('ab') . '.tmp', 'part/ac/' . id('ac') . '.part',
    'part/ac/' . id('ac') . '.info', 'part/ad/' . id('ad') . '.info',
    'ready/' . id('b1') . '.rec', 'part/b2/' . id('b2') . '.info');

ok eventually(sub { !grep { -e "$spool/$_" } keys %gone }),
    'what was never acknowledged: removed';
diag "still there: $_" for grep { -e "$spool/$_" } keys %gone;

ok -e "$spool/$_", "kept: $_" for sort grep { !$gone{$_} } keys %file;

is_deeply [files('part/*')], [map { sprintf 'part/%02x', $_ } 0 .. 255],
    'all directories are there';


# ---- the commit mark that a start sets is synced before anybody hears of it

SKIP: {
    my $at = Exam::dir() . '/traced';
    my $out = "$at.strace";
    my ($rc) = eval { Exam::run(qw(strace -f -o /dev/null true)) };

    skip 'processes cannot be traced here', 1
        if $@ || $rc != 0 || ($ENV{EXAM_FLAVOUR} // '') =~ /asan/;

    make_path("$at/ready", "$at/part/ad");
    Exam::spew("$at/$_", $file{$_})
        for 'ready/' . id('ad') . '.rec', 'part/ad/' . id('ad') . '.info';

    my $binary = Exam::spew("$at.sh", "#!/bin/sh\nexec strace -D -f -y -o $out"
        . ' -e trace=renameat,renameat2,fsync ' . Exam::bin('nginx')
        . ' "$@"' . "\n");

    chmod 0755, $binary;

    my $traced = Exam::server(workers => 1, binary => $binary,
        http => Exam::http_lines(exam_spool => $at));

    ok eventually(sub {
        Exam::slurp($out) =~ /^(\d+)\ +renameat2?\(.*ready\/\S+\.info".*\n
            (?:.*\n)* \g1\ +fsync\(\d+<[^>]*\/ready>
            (?:\ <unfinished\ \.\.\.>\n (?:.*\n)* \g1\ <\.\.\.\ fsync\ resumed>)?
            \)\ +=\ 0$/mx;
    }), 'the directory is synced behind it';

    $traced->stop('QUIT');
}


# ---- what waits for the worker is known again

Exam::redis()->stop;

for (1 .. 3) {
    ok eventually(sub {
        my $res = get($server, $_, student => 'S002');
        return $res->{status} == 200 && $res->{json}{state} eq 'received';
    }), "number $_ is known without Redis";
}

is put($server, 1, 'hello', student => 'S002')->{status}, 200,
    'the same content again';
is put($server, 1, 'other', student => 'S002')->{status}, 409,
    'other content';


# ---- Redis is away: 201 as ever

my $res = put($server, 0, 'hello');
is $res->{status}, 201, 'an upload without Redis';
is get($server, 0)->{json}{id}, $res->{json}{id}, 'is told by the zone';
is put($server, 0, 'hello')->{status}, 200, 'the same again';
is put($server, 0, 'other')->{status}, 409, 'another content';

$res = get($server, 1);
is $res->{status}, 503, 'what the zone does not know';
is $res->{code}, 'redis_unavailable', 'may be in Redis: it is not denied';

$res = put($server, '1?session=' . Exam::sid('30', 'S001', 9), 'hello');
is $res->{code}, 'redis_unavailable', 'nor is another session';

$res = put($server, '1?session=' . Exam::sid('30', 'S003', 9), 'hello');
is $res->{code}, 'not_found', 'but for that of another student';

like Exam::request('GET', "$server->{url}/metrics")->{content},
    qr/^exam_doorbell_errors_total(?:\{[^}]*\})? 1$/m,
    'the doorbell that could not be rung is counted';


# ---- a process is killed in the middle of uploads

{
    my ($worker) = $server->workers;
    my @c = map { Exam::Wire->new($server) } 1 .. 2;

    $c[$_]->head(PUT => '/api/v1/recordings/camera/' . $_,
                 fields('Content-Length' => 900_000)),
        $c[$_]->send('x' x 300_000) for 0, 1;

    ok eventually(sub {
        my $st = status($server);
        $st->{active_uploads} == 2 && $st->{upload_bytes_in_flight} == 600_000
    }), 'two uploads are open';

    is scalar(() = files('part/*/*.part')), 3, 'two parts and the old one';

    # the connections end with the process
    kill 'KILL', $worker;
    ok $_->closed, 'a connection ends' for @c;

    ok eventually(sub {
        my @parts = files('part/*/*.part');
        return @parts == 1 && $parts[0] =~ /b3/;
    }), 'the next process sweeps what the dead one owned';

    ok eventually(sub { status($server)->{active_uploads} == 0 }),
        'and takes its uploads off the gauge';
    is status($server)->{upload_bytes_in_flight}, 0, 'and their bytes';

    my $c = Exam::Wire->new($server);

    for my $n (0, 1) {
        $c->head(PUT => "/api/v1/recordings/camera/$n", fields());
        $c->send('hello');
        is $c->response->{status}, 201, 'the slots are free again';
    }
}


# ---- a living owner's part is not swept by another start

{
    my $c = Exam::Wire->new($server);

    $c->head(PUT => '/api/v1/recordings/camera/5',
             fields('Content-Length' => 300_000));
    $c->send('x' x 299_999);

    ok eventually(sub { 2 == (() = files('part/*/*.part')) }),
        'an upload is open';

    # another nginx on the same spool, as in a binary upgrade; its scan has
    # ended when what is put before it has been removed
    Exam::spew("$spool/part/aa/" . id('aa') . '.part', 'hel');

    my $second = Exam::server();

    ok eventually(sub { !-e "$spool/part/aa/" . id('aa') . '.part' }),
        'a second nginx has swept the spool';

    $c->send('x');
    is $c->response->{status}, 201, 'the upload of the first one goes on';
    $second->stop('QUIT');
}


# ---- one scan at a time

{
    open my $lock, '>', "$spool/recovery.lock" or die "lock: $!\n";
    flock $lock, LOCK_EX or die "flock: $!\n";

    my $left = 'part/aa/' . id('aa') . '.part';
    Exam::spew("$spool/$left", 'hel');

    my $other = Exam::server();
    is Exam::request('GET', "$other->{url}/health")->{status}, 200,
        'a node serves while another one scans the spool';
    ok -e "$spool/$left", 'and leaves the spool to that';

    close $lock;
    ok eventually(sub { !-e "$spool/$left" }), 'then it scans too';
}


# ---- clients that stall

{
    my $impatient = Exam::server(
        main => 'worker_shutdown_timeout 1s;',
        server => Exam::slurp("$Exam::Process::Root/nginx-conf/api.inc")
            =~ s/client_body_timeout\s+\w+;/client_body_timeout 1s;/r);
    my $c = Exam::Wire->new($impatient);

    $c->head(PUT => '/api/v1/recordings/camera/6',
             fields('Content-Length' => 300_000));
    $c->send('x' x 100_000);
    ok $c->closed, 'no byte for client_body_timeout: the connection ends';
    ok eventually(sub { 1 == (() = files('part/*/*.part')) }),
        'the part is removed';
    is status($impatient)->{active_uploads}, 0, 'no upload is open';
    $impatient->stop('QUIT');

    my $leaving = Exam::server(main => 'worker_shutdown_timeout 1s;');
    my $old;

    eventually(sub { ($old) = $leaving->workers; return $old });

    $c = Exam::Wire->new($leaving);
    $c->head(PUT => '/api/v1/recordings/camera/6',
             fields('Content-Length' => 300_000));
    $c->send('x' x 100_000);
    ok eventually(sub { status($leaving)->{active_uploads} == 1 }),
        'an upload is open';

    kill 'HUP', $leaving->{pid};
    ok $c->closed, 'worker_shutdown_timeout ends it';
    ok eventually(sub { !-e "/proc/$old" }), 'the old process leaves';
    ok eventually(sub { 1 == (() = files('part/*/*.part')) }),
        'without leaving its part';
    is status($leaving)->{active_uploads}, 0, 'no upload is open';
}


# ---- a spool that cannot be used

{
    Exam::spew(Exam::dir() . '/file', 'x');

    my $dead = eval {
        Exam::server(allow => [qr/exam mkdir/], http => Exam::http_lines(
            exam_spool => Exam::dir() . '/file/spool'));
    };
    my $why = $@;

    # it listens before it looks at its spool

    if ($dead) {
        eventually(sub { !$dead->running });
        $why = Exam::slurp($dead->{error_log});
    }

    ok !$dead || !$dead->running,
        'nginx does not start with a spool that cannot be made';
    like $why, qr/exam mkdir\(\) "[^"]+" failed/, 'and says why';
}

done_testing;
