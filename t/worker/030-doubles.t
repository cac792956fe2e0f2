# The same segment more than once: the same content has one row and one file,
# other content is kept as a variant; nothing acknowledged is ever lost.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Test::More;
use Spool;
use Time::HiRes qw(sleep);

stack();

my $spool = Exam::spool();
my $recordings = Exam::recordings();


sub path {
    my ($m) = @_;

    return "$recordings/30/$m->{student}/$m->{session}-$m->{kind}-$m->{n}-"
           . "$m->{id}.webm";
}


sub sidecar { return json(Exam::Process::slurp(path($_[0]) . '.json')) }


sub segment {
    my ($m) = @_;

    return "session = '$m->{session}' AND kind = '$m->{kind}' AND n = $m->{n}";
}


start_worker();

# ---- one after the other

{
    my $m = offer(data => 'same', n => 0);
    ok(settled($m), 'the first');

    my $d = offer(data => 'same', n => 0);
    ok(settled($d), 'the same content again');

    is(rows(segment($m)), 1, 'one row');
    is(row($d), undef, 'that of the first');
    ok(-e path($m) && -e path($m) . '.json', 'its file is there');
    ok(!-e path($d) && !-e path($d) . '.json', 'the second one is not');
    is((ledger($m))[2], $m->{id}, 'the ledger names the first');

    my $o = offer(data => 'other', n => 0);
    ok(settled($o), 'other content');

    is(row($o)->{variant}, 1, 'is variant 1');
    ok(-e path($o) && -e path($o) . '.json', 'with its file');
    is((ledger($m))[2], $m->{id}, 'the ledger still names the first');
    is(sidecar($m)->{variant}, 0, 'the side-car of the first tells variant 0');
    is(sidecar($o)->{variant}, 1, 'that of the other variant 1');
    is(sidecar($o)->{stored_at}, row($o)->{stored_at}, 'and its time');

    my $t = offer(data => 'third', n => 0);
    ok(settled($t), 'a third content');
    is(row($t)->{variant}, 2, 'is variant 2');

    my $e = offer(data => 'other', n => 0);
    ok(settled($e), 'the second content again');
    is(rows(segment($m)), 3, 'has its row already');
    ok(!-e path($e), 'and its file');

    like(worker_log(), qr/other content/, 'variants are logged');
}


# ---- the same upload again: an entry rung twice, a manifest that came back

{
    my $m = offer(data => 'once', n => 1);
    ring($m);
    ok(settled($m), 'rung twice');
    is(rows(segment($m)), 1, 'one row');

    ring($m);
    ok((wait_for { redis('XLEN', bell()) == 0 }), 'rung after it was stored');

    redis('DEL', 'exam:{30}:seg:S001');
    ring($m);
    ok(settled($m), 'a ring settles what the table has');

    sleep 0.01;
    offer(%$m, data => 'once', rec => 0);
    ok(settled($m), 'a manifest that came back after a power loss');
    ok(-e path($m), 'its file is where it was');
    is(rows(segment($m)), 1, 'one row');
    is(sidecar($m)->{stored_at}, row($m)->{stored_at},
       'row and side-car tell the same time');
    is_deeply([files("$spool/bad")], [], 'nothing is damaged');
}


# ---- in one batch

{
    stop_worker();

    my @same = map { offer(data => 'batch', n => 2) } 1 .. 3;
    my @other = map { offer(data => "batch $_", n => 2) } 1 .. 2;

    start_worker();

    ok(settled($same[0]), 'five of one segment in one batch');
    ok((wait_for { rows(segment($same[0])) == 3 }), 'are three rows');
    ok((wait_for { !files("$spool/work") && !files("$spool/ready") }),
       'nothing is left in the spool');
    is(scalar(grep { -e path($_) } @same), 1, 'one file of the three');
    is(scalar(grep { -e path($_) } @other), 2, 'both of the others');

    my %variants = map { $_->[0] => 1 } $Spool::Mysql->sql(
        'SELECT variant FROM recordings WHERE ' . segment($same[0]));
    is_deeply([sort keys %variants], [0, 1, 2], 'variants 0, 1, 2');
}


# ---- the first file is gone: the second is not given up for it

{
    my $m = offer(data => 'precious', n => 3);
    ok(settled($m), 'the first');
    unlink path($m) or die;

    my $d = offer(data => 'precious', n => 3);
    ok((wait_for { row($d) }), 'the second has a row of its own');
    is(row($d)->{variant}, 1, 'as a variant');
    ok(-e path($d), 'and its file');
    like(worker_log(), qr/alert .*the store has not/, 'which is an alert');
}


# ---- a double whose manifest comes back after its file was removed

{
    my $m = offer(data => 'twin', n => 4);
    ok(settled($m), 'the first');
    my $d = offer(data => 'twin', n => 4);
    ok(settled($d), 'the second');

    offer(%$d, data => 'twin', rec => 0);
    ok((wait_for { !files("$spool/ready") && !files("$spool/work") }),
       'the manifest of the second again');
    is_deeply([files("$spool/bad")], [], 'is no damage: the first has it');
    is(rows(segment($m)), 1, 'one row');
}

# ---- two nodes that were apart: each has acknowledged a content of its own

{
    my $m = offer(data => 'of this node', n => 7, ring => 0, info => 0);

    # Redis has heard of the other node's first

    my $field = "$m->{session}:$m->{kind}:$m->{n}";
    my $other = 'n2-' . '5' x 32;

    redis('HSET', 'exam:{30}:seg:S001', $field,
          "received n2 $other 5 " . 'a' x 64);

    $m = offer(%$m, data => 'of this node');
    ok(settled($m), 'what this node has is stored');
    is((ledger($m))[2], $m->{id}, 'the ledger names what is stored');

    # the other node's worker has its row: here its file comes by this spool

    my $o = offer(data => 'of the other node', n => 7, node => 'n2');
    ok((wait_for { row($o) }), 'the other one has a row, too');
    is(row($o)->{variant}, 1, 'flagged as variant 1');
    is(row($o)->{node}, 'n2', 'of its node');
    ok(-e path($m) && -e path($o), 'both files are kept');
    is((ledger($m))[0], 'stored', 'the number is stored');
    is((ledger($m))[2], $m->{id}, 'by the first upload still');
    is(redis('HGET', 'exam:{30}:stored', "S001:$m->{session}:resend"), undef,
       'nobody is asked for it');
    like(worker_log(), qr/other content/, 'and it is logged');
}

stop_worker();
done_testing();
