# Whoever brings an upload to its end tells of it: one that looks at what a
# failed finish or a killed process has left, the sweep, Redis there or not.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256_hex);

use Exam;
use Exam::Api;
use Exam::Tus;

my $spool = Exam::spool();
my ($server, $api);
my $s = 0;

Exam::load_exam('30', students => { map { $_ => {} } 'S001' .. 'S009' });

sub start {
    $server->stop('QUIT') if $server;
    $server = Exam::server(http => Exam::http_lines(
        exam_upload_expire => '1h', exam_kind_uploads => 1));
    $api = Exam::Api->new($server);
    return;
}

sub candidate {
    return Exam::Tus->new($server, student => sprintf 'S%03d', ++$s);
}

sub segment {
    my ($n) = @_;
    return ('Upload-Metadata' => Exam::Tus::metadata(kind => 'screen', n => $n,
                                            filetype => 'video/webm'));
}

sub file {
    my ($url, $suffix) = @_;

    my ($id, $two) = $url =~ m{([^/]+-(..)[^/]+)\z};
    return "$spool/part/$two/$id$suffix";
}

sub eventually {
    my ($true) = @_;
    return Exam::wait_for { $true->() } 20;
}

sub look { return $api->get('/api/v1/recordings/screen/0', $_[0]{token}) }

sub me {
    my ($tus, $set) = @_;
    return $api->me($tus->{token})->{json}{sessions}[0]{segments}{screen}{$set};
}

sub ledger {
    my ($student) = @_;

    return (split ' ', Exam::redis_cmd('HGET', "exam:{30}:seg:$student",
        Exam::sid('30', $student) . ':screen:0') // 'none')[0];
}

sub rung { return Exam::redis_cmd('XLEN', 'exam:recordings:t1') }

sub receipts {
    my ($url) = @_;

    my ($id) = $url =~ m{([^/]+)\z};
    return scalar grep { /"receipt"/ && /\Q$id\E/ }
        map { split /\n/, Exam::slurp($_) } glob "$spool/journal/*.log";
}

# As it lies where a rename of the finish sequence has failed.

sub left {
    my ($tus, $renamed) = @_;

    my $url = $tus->create(5, segment(0));
    $tus->patch($url, 0, 'hell');

    my $sum = sha256_hex('hello');
    my $info = Exam::slurp(file($url, '.info'));

    $info =~ s/"durable_offset":4/"durable_offset":5/;
    $info =~ s/"received_at":null/"received_at":@{[ Exam::now_ms() ]}/;
    $info =~ s/"sha256":null/"sha256":"$sum"/;

    Exam::spew(file($url, '.part'), 'hello');
    Exam::spew(file($url, '.info'), $info);

    my ($id) = $url =~ m{([^/]+)\z};
    rename file($url, '.part'), "$spool/ready/$id.rec" or die "rename: $!\n"
        if $renamed;

    return $url;
}

sub told {
    my ($tus, $student, $url, $name) = @_;

    ok eventually(sub { ledger($student) eq 'received' }), "$name: the ledger";
    is look($tus)->{json}{state}, 'received', "$name: GET";
    is_deeply me($tus, 'received'), [[0, 0]], "$name: /me";
    is_deeply me($tus, 'receiving'), [], "$name: it is not being received";
    ok eventually(sub { rung() == 1 }), "$name: the doorbell";
    ok eventually(sub { receipts($url) }), "$name: the receipt";
    is receipts($url), 1, "$name: one";
    is $tus->post({ 'Upload-Length' => 5, segment(1) })->{status}, 201,
        "$name: its place is free";
    Exam::redis_cmd('DEL', 'exam:recordings:t1');
    return;
}


start();

for my $renamed (0, 1) {
    my $tus = candidate();
    my $url = left($tus, $renamed);

    is $tus->offset($url), 5, 'who looks finishes it';
    is $tus->offset($url), 5, '... once';
    told($tus, sprintf('S%03d', $s), $url, 'looked at');
}

for my $renamed (0, 1) {
    my $tus = candidate();
    my $url = left($tus, $renamed);

    start();
    $tus->{server} = $server;
    told($tus, sprintf('S%03d', $s), $url, 'a start');
}


# ---- expired

sub expired {
    my ($tus) = @_;

    my $url = $tus->create(5, segment(0));
    utime time - 3700, time - 3700, map { file($url, $_) } '.part', '.info';
    return $url;
}

my $tus = candidate();
my $url = expired($tus);
is look($tus)->{json}{state}, 'receiving', 'incomplete';
is $tus->head($url)->{status}, 410, 'expired when it is looked at';
is look($tus)->{status}, 404, '... it is not being received';
is_deeply me($tus, 'receiving'), [], '... by /me';
ok eventually(sub { ledger('S005') eq 'none' }), '... nor by the ledger';

$tus = candidate();
$url = expired($tus);
start();
$tus->{server} = $server;
ok eventually(sub { ledger('S006') eq 'none' }), 'by the sweep';
is look($tus)->{status}, 404, '... it is not being received';
is $tus->post({ 'Upload-Length' => 5, segment(1) })->{status}, 201,
    '... its place is free';

$tus = candidate();
$url = expired($tus);

Exam::allow_errors(qr/exam redis/);
kill 'STOP', Exam::redis()->pid;
is $tus->head($url)->{status}, 410, 'expired, and Redis is away';
kill 'CONT', Exam::redis()->pid;

# what was told meanwhile may have been lost
ok eventually(sub { look($tus)->{status} == 404 }), '... not being received';
my ($id) = $url =~ m{([^/]+)\z};
Exam::redis_cmd('HSET', 'exam:{30}:seg:S007',
                Exam::sid('30', 'S007') . ':screen:0', "receiving t1 $id 5 -");
is look($tus)->{status}, 404, '... whatever the ledger says';
is_deeply me($tus, 'receiving'), [], '... nor by /me';
is $tus->post({ 'Upload-Length' => 5, segment(0) })->{status}, 201,
    '... and its number is free';

done_testing();
