# The store on another filesystem, and another MySQL than before.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Digest::SHA qw(sha256_hex);
use File::Temp ();
use Test::More;
use Spool;

stack();

my $spool = Exam::spool();


# ---- another MySQL, which lacks the last commits

{
    my $socket = Exam::dir() . '/my.sock';

    symlink $Spool::Mysql->socket, $socket or die;
    ini_with(mysql => { socket => $socket });
    start_worker();

    my @m = map { offer(n => $_, data => media('webm'), started_at => 5000,
                        content_type => 'video/webm;codecs=vp8') } 0 .. 2;
    my $d = offer(n => 0, data => 'a variant');
    ok(settled($_), "upload $_->{n}") for @m, $d;

    # the start compares too, but knows of no server before
    ok((wait_for { worker_log() =~ /side-cars of the last hour compared/ }),
       'the start compares the last hour');
    unlike(worker_log(), qr/another server/, 'with the same server');

    my %before = map { $_->{id} => row($_) } @m;

    my $other = Exam::Process->mysql(dir => Exam::dir() . '/other');
    Spool::tables($other);

    # the replica had the first one
    $other->sql("INSERT INTO recordings (upload_id, exam, student, session,"
        . " kind, n, bytes, sha256, content_type, received_at, stored_at, node,"
        . " store, path) VALUES ('$m[0]{id}', '30', 'S001', '$m[0]{session}',"
        . " 'screen', 0, $m[0]{length}, UNHEX('$m[0]{sha256}'), 'video/webm',"
        . " 1, 1, 't1', 'local', 'x')");

    my $first = $Spool::Mysql;
    $Spool::Mysql = $other;
    unlink $socket;
    symlink $other->socket, $socket or die;
    $first->stop;

    my $n = offer(n => 3);
    ok(settled($n, 20), 'another server takes the next upload');
    ok((wait_for { rows() == 5 } 20), 'and gets the rows it lacked')
        or diag worker_log();

    for my $m (@m[1, 2]) {
        my $row = row($m);
        delete $row->{id};
        delete $before{$m->{id}}{id};
        is_deeply($row, $before{$m->{id}}, "row $m->{n} is as it was");
    }

    is(row($d)->{variant}, 1, 'the variant too');
    is(row($m[0])->{path}, 'x', 'the row that was there is untouched');
    like(worker_log(), qr/another server than before: "[^"]+", it was "[^"]/,
         'the log says so');
    like(worker_log(), qr/ 3 rows added/, 'and what was done');

    stop_worker();
}


# ---- another filesystem

SKIP: {
    my $shm = '/dev/shm';

    skip "$shm is no other filesystem", 14
        if !-w $shm || (stat $shm)[0] == (stat $spool)[0];

    my $store = File::Temp->newdir('exam-XXXXXXXX', DIR => $shm);

    ini_with(node => { recordings => "$store" });
    start_worker();

    my $m = offer(n => 20, data => 'x' x 700_000, student => 'X01');
    ok(settled($m), 'a store on another filesystem');

    my $path = "$store/" . row($m)->{path};
    is(sha256_hex(Exam::Process::slurp($path)), $m->{sha256}, 'has a copy');
    ok(-s "$path.json", 'with its side-car');
    ok(!-e "$path.tmp", 'no temporary file');
    ok(!-e "$spool/ready/$m->{id}.rec", 'and the spool has none left');

    my $bad = offer(n => 21, sha256 => sha256_hex('other'), student => 'X01');
    ok((wait_for { -e "$spool/bad/$bad->{id}.info" }),
       'a copy is always compared');
    is(json(Exam::Process::slurp("$spool/bad/$bad->{id}.info"))->{reason},
       'wrong_sha256', 'with the reason');
    ok(-e "$spool/bad/$bad->{id}.rec", 'the file is kept');
    is_deeply([grep { /$bad->{id}/ } files("$store/30/X01")], [],
              'not in the store');

    # killed between the rename and the unlink of the source
    stop_worker();
    my $half = offer(n => 22, data => 'half', ring => 0, student => 'X01');
    rename "$spool/ready/$half->{id}.info", "$spool/work/$half->{id}.info";
    Exam::Process::spew("$store/30/X01/$half->{session}-screen-22-"
                        . "$half->{id}.webm", 'half');
    start_worker();

    ok((wait_for { row($half) && ((ledger($half))[0] // '') eq 'stored' }),
       'a copy that was left behind');
    ok((wait_for { !-e "$spool/ready/$half->{id}.rec" }),
       'has its source removed');
    is(Exam::Process::slurp("$store/" . row($half)->{path}), 'half',
       'and is whole');
    ok((wait_for { !files("$spool/work") }), 'work/ is empty');
    is(stop_worker(), 0, 'the worker leaves in order');
}

done_testing();
