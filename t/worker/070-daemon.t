# The daemon: options, configuration, one worker a spool, signals.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Test::More;
use Time::HiRes qw(time);
use Spool;

my $worker = Exam::bin('exam-worker');
my $spool = Exam::spool();


# ---- without servers

{
    my ($rc, $out, $err) = Exam::run($worker, '--help');
    is($rc, 0, '--help');
    like($out, qr/^usage: exam-worker .*--config/s, 'says how');

    ($rc, $out, $err) = Exam::run($worker, '--frobnicate');
    is($rc, 2, 'an unknown option');
    like($err, qr/unknown argument "--frobnicate"/, 'is named');

    ($rc, $out, $err) = Exam::run($worker, '--config', '/nowhere/exam.ini');
    is($rc, 1, 'no configuration');
    like($err, qr{/nowhere/exam\.ini}, 'is named');

    my $ini = Exam::Process::spew(Exam::dir() . '/bad.ini',
                                  "[node]\nname = t1\nfrob = 1\n");
    ($rc, $out, $err) = Exam::run($worker, '--config', $ini);
    is($rc, 1, 'an unknown key');
    like($err, qr/bad\.ini:3/, 'is named with its line');
}

stack();


# ---- one worker a spool

{
    start_worker();
    ok((wait_for { redis('EXISTS', 'exam:loaded') }), 'the first worker');
    is(Exam::Process::slurp(Exam::dir() . '/worker.pid'),
       $Spool::Worker->pid . "\n", 'writes its pid');

    my ($rc, $out, $err) = Exam::run('timeout', 20, $worker, '--config',
                                     Exam::dir() . '/exam.ini');
    is($rc, 1, 'a second one leaves');
    like($err, qr/has the spool/, 'and says why');
    is(Exam::Process::slurp(Exam::dir() . '/worker.pid'),
       $Spool::Worker->pid . "\n", 'the pid file is still the first one\'s');
    ok(settled(offer(n => 0)), 'the first one works on');

    is($Spool::Worker->stop('TERM', 3), 0, 'an idle worker leaves at once');
    ok(!-e Exam::dir() . '/worker.pid', 'without its pid file');

    start_worker();
    ok(settled(offer(n => 1)), 'the next one gets the lock');
    stop_worker('KILL');

    start_worker();
    ok(settled(offer(n => 2)), 'after a kill too: no child holds it');
}


# ---- SIGTERM finishes the batch in hand

{
    my @m = map { offer(n => $_, student => 'D1', ring => 0) } 0 .. 899;
    ring($_) for @m;

    wait_for { rows("student = 'D1'") } 20;
    is($Spool::Worker->stop('TERM', 10), 0, 'SIGTERM in the middle of work');

    my $rows = rows("student = 'D1'");
    my @ready = grep { /info/ } files("$spool/ready");

    cmp_ok($rows, '<', 900, 'it did not stay until the end');
    is(scalar(files("$spool/work")), 0, 'no upload is half done');
    is(scalar(@ready) + $rows, 900, 'each is done or untouched');
    is(redis('XLEN', bell()), scalar @ready, 'as the doorbell says');
    is(redis('HGET', 'exam:{30}:stored', "D1:$m[0]{session}:screen") + 1,
       $rows, 'and the ledger');

    start_worker('--once');
    ok((wait_for { !$Spool::Worker->running } 30), '--once leaves by itself');
    is($Spool::Worker->{status}, 0, 'in order');
    is(rows("student = 'D1'"), 900, 'with everything done');
    is(redis('XLEN', bell()), 0, 'and acknowledged');
}


# ---- a second SIGTERM does not wait

{
    start_worker();

    # one that is stopped too early keeps the lock of its worker
    wait_for {
        my $child = child();
        $child && !grep { (readlink // '') =~ /worker\.lock/ }
                        glob "/proc/$child/fd/*";
    };
    kill 'STOP', child();

    my $m = offer(n => 10);
    wait_for { -e "$spool/work/$m->{id}.info" };

    kill 'TERM', $Spool::Worker->pid;
    ok((wait_for { (figures()->{state} // '') eq 'draining' }),
       'the first SIGTERM drains');

    my $start = time;
    $Spool::Worker->stop('TERM', 4);
    cmp_ok(time - $start, '<', 2, 'the second one does not');
    isnt($Spool::Worker->{status}, 0, 'and is no orderly end');
    ok(-e "$spool/work/$m->{id}.info", 'the upload is still claimed');

    start_worker();
    ok(settled($m), 'and done by the next worker');
}


# ---- log rotation

{
    my $log = Exam::dir() . '/worker.log';

    rename $log, "$log.1" or die;
    kill 'USR1', $Spool::Worker->pid;
    ok((wait_for { -e $log }), 'SIGUSR1 makes a new log');
    stop_worker();
    like(Exam::Process::slurp($log), qr/leaves/, 'and writes there');
}

done_testing();
