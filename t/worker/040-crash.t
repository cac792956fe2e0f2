# kill -9 at moments of chance while uploads keep coming, and in states that a
# crash between two steps leaves: nothing is lost, nothing has two rows.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Digest::SHA qw(sha256_hex);
use File::Path qw(make_path);
use Test::More;
use Time::HiRes qw(time);
use Spool;

stack();

my $spool = Exam::spool();
my $recordings = Exam::recordings();


sub path {
    my ($m) = @_;

    return "$recordings/30/$m->{student}/$m->{session}-$m->{kind}-$m->{n}-"
           . "$m->{id}.webm";
}


sub spew_json {
    my ($file, $m) = @_;

    Exam::Process::spew($file, JSON::PP->new->canonical->encode($m) . "\n");
}


# ---- killed while it works

{
    my (@all, $killed);

    for my $round (1 .. 8) {
        push @all, map {
            offer(student => sprintf('K%02d', $_ % 20), n => $round * 10
                  + int($_ / 20), data => "round $round number $_",
                  ring => $_ % 4)
        } 0 .. 99;

        start_worker();

        # killed when a different part of the round has been done each time
        my $before = ($round - 1) * 100;
        wait_for { rows() >= $before + $round * 6 - 6
                   || !files("$spool/ready") } 20;
        $killed++ if defined $Spool::Worker->stop('KILL');
    }

    is($killed, 8, 'killed eight times');

    start_worker();
    ok((wait_for { rows() == @all } 40), 'every upload has its row')
        or diag rows(), worker_log();
    ok((wait_for { !files("$spool/work") && !redis('XLEN', bell()) } 40),
       'nothing is left over');

    is(scalar(grep { !row($_) } @all[map { $_ * 37 } 0 .. 20]), 0,
       'by its own id');
    is(scalar(grep { Exam::Process::slurp(path($_)) eq ''
                     || sha256_hex(Exam::Process::slurp(path($_)))
                        ne $_->{sha256} } @all), 0,
       'every file is there, unchanged');
    is(scalar(grep { !-s path($_) . '.json' } @all), 0, 'with its side-car');
    is(scalar(grep { ((ledger($_))[0] // '') ne 'stored' } @all), 0,
       'every entry of the ledger is stored');
    is_deeply([files("$spool/bad")], [], 'nothing was taken for damaged');
    is(stop_worker(), 0, 'the worker leaves in order');
}


# ---- what each step leaves behind

{
    my (%m, $n);

    my $left = sub {
        my ($name, %opt) = @_;

        my $m = $m{$name} = offer(n => ++$n, student => 'C01', ring => 0,
                                  data => "step $name", %opt);
        return $m;
    };

    # claimed, nothing else
    my $m = $left->('claimed');
    rename "$spool/ready/$m->{id}.info", "$spool/work/$m->{id}.info" or die;

    # the file is in the store, the side-car is half written
    $m = $left->('filed');
    make_path("$recordings/30/C01");
    rename "$spool/ready/$m->{id}.info", "$spool/work/$m->{id}.info" or die;
    rename "$spool/ready/$m->{id}.rec", path($m) or die;
    Exam::Process::spew(path($m) . '.json.tmp', '{"ver');

    # copied from another filesystem, the source is still there
    $m = $left->('copied');
    rename "$spool/ready/$m->{id}.info", "$spool/work/$m->{id}.info" or die;
    Exam::Process::spew(path($m), 'step copied');
    Exam::Process::spew(path($m) . '.tmp', 'step c');

    # a power loss has kept the mark, and not the name of the file
    $m = $left->('unnamed');
    my ($two) = $m->{id} =~ /-(..)/;
    make_path("$spool/part/$two");
    rename "$spool/ready/$m->{id}.rec", "$spool/part/$two/$m->{id}.part"
        or die;

    # on its way to bad/: the file is there, the manifest is not
    $m = $left->('bad', length => 5, durable_offset => 5);
    rename "$spool/ready/$m->{id}.info", "$spool/work/$m->{id}.info" or die;
    rename "$spool/ready/$m->{id}.rec", "$spool/bad/$m->{id}.rec" or die;

    # all but the last step of that
    $m = $left->('noted', length => 5, durable_offset => 5);
    rename "$spool/ready/$m->{id}.info", "$spool/work/$m->{id}.info" or die;
    rename "$spool/ready/$m->{id}.rec", "$spool/bad/$m->{id}.rec" or die;
    spew_json("$spool/bad/$m->{id}.info", { %$m, reason => 'wrong_size' });

    start_worker();

    ok((wait_for { !files("$spool/work") } 20), 'left-overs are redone');

    for (qw(claimed filed copied unnamed)) {
        is(row($m{$_})->{bytes}, length "step $_", "$_: has its row");
        is(Exam::Process::slurp(path($m{$_})), "step $_", "$_: its file");
        ok(-s path($m{$_}) . '.json', "$_: its side-car");
        ok((wait_for { ((ledger($m{$_}))[0] // '') eq 'stored' }),
           "$_: is settled");
        ok(!-e "$spool/ready/$m{$_}{id}.rec", "$_: left nothing in ready/");
        ok(!-e path($m{$_}) . '.json.tmp', "$_: no half side-car");
    }

    ok(!-e "$spool/part/$two/$m{unnamed}{id}.part", 'nor one in part/');

    for (qw(bad noted)) {
        ok(-e "$spool/bad/$m{$_}{id}.rec", "$_: the file is in bad/");
        is(json(Exam::Process::slurp("$spool/bad/$m{$_}{id}.info"))->{reason},
           'wrong_size', "$_: with the reason");
        is(row($m{$_}), undef, "$_: has no row");
    }

    stop_worker();
}


# ---- committed, but the manifest is still there; and the other way round:
# committed and released, but neither settled nor acknowledged

{
    my $m = offer(n => 50, data => 'committed', ring => 0, student => 'C01');

    start_worker('--once');
    ok((wait_for { !$Spool::Worker->running } 20), 'one pass');
    is($Spool::Worker->{status}, 0, 'ends in order');
    my $first = row($m);
    ok($first, 'an upload is committed');

    spew_json("$spool/work/$m->{id}.info", $m);
    redis('HDEL', 'exam:{30}:seg:C01', "$m->{session}:screen:50");

    start_worker();
    ok((wait_for { !-e "$spool/work/$m->{id}.info" } 20),
       'its manifest comes back');
    is(row($m)->{id}, $first->{id}, 'it keeps its row');
    is(rows("upload_id = '$m->{id}'"), 1, 'and only that');
    ok((wait_for { ((ledger($m))[0] // '') eq 'stored' }), 'it is settled');
    is(Exam::Process::slurp(path($m)), 'committed', 'the file is untouched');

    stop_worker('KILL');
    redis('HDEL', 'exam:{30}:seg:C01', "$m->{session}:screen:50");

    start_worker();
    ok((wait_for { ((ledger($m))[0] // '') eq 'stored' }),
       'what was committed lately is settled at the start, rung or not');

    stop_worker();
}

done_testing();
