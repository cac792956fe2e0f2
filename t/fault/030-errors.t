# A full disk, a quota, a broken disk: every system call with which an upload is
# written, named or synced fails once.  The process stays, the client is told,
# nobody is told a false 201, the repetition succeeds, exam-worker goes on by
# itself; nothing is lost, nothing is there twice.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/fault/lib';
use Crash;
use Test::More;
use Time::HiRes qw(sleep time);

need_strace();
servers();
nginx();

my @errors = qw(ENOSPC EIO EDQUOT);
my $fallible = qr/^(?:openat|fallocate|pwrite64|write|fdatasync|fsync|renameat2?
                      |linkat|mkdirat|pread64|read|ftruncate|unlinkat)$/x;
my (@uploads, %runs);


# Points of spool and store that can fail, each once.

sub fallible {
    my (@points) = @_;

    my %seen;
    return grep { $_->{call} =~ $fallible && $_->{target} =~ /^S[PT]O/
                  && !$seen{$_->{id}}++ } @points;
}


# Did the call that was meant fail?  What else the process does in between, for
# its journal or a scan, may have been hit instead: then the run is repeated.

sub injected {
    my ($point, @points) = @_;

    my ($hit) = grep { $_->{injected} } @points;

    return $hit && (!$point || $hit->{id} eq $point->{id});
}


# ---- nginx

sub nginx_run {
    my ($what, $inject, $point) = @_;

    my $pid = answered();
    my @others = grep { $_ != $pid }
                 map { s{.*/}{}r } glob "/proc/$pid/task/*";
    my $u = upload_of(what => $what);
    my $before = length Exam::slurp($Crash::Nginx->{error_log});
    my $t = attach($inject ? (pids => \@others, inject => [$inject])
                           : (pids => [$pid], follow => 1));

    my $res = put($u);
    my $log = substr Exam::slurp($Crash::Nginx->{error_log}), $before;

    detach($t);
    push @uploads, $u;

    my @points = points($t, $u,
                        role => sub { $_[0]{tid} == $pid ? 'main' : 'pool' });

    return ($u, $res, $log, injected($point, @points), answered() == $pid,
            @points);
}


sub nginx_wrong {
    my ($point, $error, $u, $res, $log, $hit, $alive) = @_;

    return 'was not hit' unless $hit;
    return 'the process is gone' unless $alive;
    return 'no answer' unless $res;

    my $expect = $error eq 'EIO' ? 500 : 507;
    my $call = $point->{call} =~ s/64$//r;

    return "status $res->{status}" if $res->{status} != $expect;
    return "the log says $log"
        if $log !~ /\[error\].* exam \Q$call\E\(\) for upload "t1-\w+" failed/
           || $log !~ /\((?:28|5|122): /;

    my $again = put($u);
    return 'repeated: ' . ($again ? $again->{status} : 'no answer')
        if !$again || $again->{status} !~ /^20[01]$/
           || $again->{json}{sha256} ne $u->{sha256};
    return '';
}


{
    my (undef, $res, undef, undef, undef, @trace) = nginx_run('trace');
    my @points = grep { $_->{role} eq 'pool' } fallible(@trace);
    my (@wrong, %seen);

    sighted(\%seen, \@trace);
    is $res->{status}, 201, 'nginx: an upload is traced';
    cmp_ok scalar(@points), '>=', 10, 'nginx: calls that can fail';

    for my $point (@points) {
        for my $error (@errors) {
            my ($wrong, %taken);

            for (1 .. 40) {
                my $nth = aim(\%seen, $point->{id}, \%taken);
                my @run = nginx_run("$error at $point->{id}",
                    "$point->{call}:error=$error:when=$nth", $point);

                sighted(\%seen, [@run[5 .. $#run]], $point->{id}, $nth);
                $wrong = nginx_wrong($point, $error, @run);
                $runs{nginx}++;
                last if $wrong ne 'was not hit';
            }

            push @wrong, "$error at $point->{id}: $wrong" if $wrong;
        }
    }

    is_deeply \@wrong, [], 'nginx: each error is told, the next PUT succeeds'
        or diag join "\n", @wrong;
    note "$runs{nginx} errors at " . @points . ' calls of nginx';
}


# as long as it lasts

for my $call (qw(openat pwrite64 fdatasync renameat fsync)) {
    my ($u, $res, undef, $hit, $alive) = nginx_run("$call for ever",
                                                   "$call:error=EIO");

    ok $hit && $alive && $res && $res->{status} == 500,
        "nginx: while every $call() fails: 500";
    is((put($u) // {})->{status}, 201, 'and 201 when it does no more');
}

# what was hit elsewhere, and not repeated
$_->{acked} or put($_) for @uploads;

start_worker();
ok drained(60), 'the worker empties the spool';
is_deeply [audit(@uploads)], [], 'every upload is stored once, whole';
is_deeply [files_below(Exam::spool() . '/part', qr/./)], [], 'part/ is empty';


# ---- exam-worker

sub settled {
    my ($u) = @_;

    my ($state) = split / /, Spool::redis('HGET',
        "exam:{$Crash::Exam}:seg:$u->{student}", "$u->{sid}:screen:0") // '';

    # the doorbell's entry is acknowledged with the next sweep, or start
    return ($state // '') eq 'stored' && drained(0);
}


sub worker_run {
    my ($what, $point, $inject) = @_;

    my $pid = $Spool::Worker->pid;
    my @threads = threads($pid);
    my %order = map { $threads[$_] => $_ } 0 .. $#threads;
    my $u = upload_of(size => 100_000, what => $what);
    my $before = length Spool::worker_log();
    my $t = attach(!$inject ? (pids => [$pid], follow => 1)
        : (pids => [$threads[$point->{role} =~ /(\d+)/ ? $1 : 0]],
           inject => [$inject]));

    put($u);
    push @uploads, $u;

    # what is left in work/ is looked for twice a minute
    my $done = wait_for { settled($u) } 45;
    my $log = substr Spool::worker_log(), $before;

    detach($t);

    my @points = points($t, $u,
        since => $point && $point->{role} ne 'main' ? undef : qr/UPLOAD/,
        role => sub {
            my ($call) = @_;
            return 'main' if $call->{tid} == $pid;
            return $call->{target} =~ /UPLOAD|STUDENT|STORE/
                ? "thread $order{$call->{tid}}" : '';
        }, until => sub { !$inject && $_[0]{args} =~ /XREADGROUP/ });

    return (!$done ? 'does not finish'
        : !injected($point, @points) ? 'was not hit'
        : $Spool::Worker->pid != $pid || !$Spool::Worker->running
            ? 'the process is gone'
        : $log !~ / (?:error|alert|warn) / ? "nothing in the log: $log"
        : stored($u), $u, @points);
}


{
    my (undef, $u, @trace) = worker_run('trace');
    my @points = fallible(@trace);
    my (@wrong, %seen, $turn);

    sighted(\%seen, \@trace);
    is stored($u), '', 'worker: an upload is traced';
    cmp_ok scalar(@points), '>=', 10, 'worker: calls that can fail';

    for my $point (@points) {

        # a mkdir that fails must be tried again by itself, too
        for my $error (more() ? @errors : $errors[$turn++ % @errors]) {
            my ($wrong, %taken, @points);

            for (1 .. 40) {
                my $nth = aim(\%seen, $point->{id}, \%taken);

                ($wrong, undef, @points) = worker_run(
                    "$error at $point->{id}", $point,
                    "$point->{call}:error=$error:when=$nth");
                sighted(\%seen, \@points, $point->{id}, $nth);
                $runs{worker}++;
                last if $wrong ne 'was not hit';
            }

            push @wrong, "$error at $point->{id}: $wrong" if $wrong;
        }
    }

    is_deeply \@wrong, [], 'worker: goes on by itself after each error'
        or diag join "\n", @wrong;
    note "$runs{worker} errors at " . @points . ' calls of exam-worker';
}

Spool::stop_worker();
start_worker();
ok +(wait_for { Spool::redis('XLEN', Spool::bell()) == 0 } 20),
    'a start acknowledges all entries of the doorbell';
is_deeply [audit(@uploads)], [], 'every upload is stored once, whole';
is_deeply [Spool::files(Exam::spool() . '/bad')], [], 'nothing was damaged';

done_testing;
