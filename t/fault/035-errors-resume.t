# A full disk, a quota, a broken disk, at every system call with which a
# resumable upload is created, continued, finished and deleted: the client is
# told, the process stays, no offset that was told goes back, and once the disk
# is well again the client goes on from there to the end, without any help.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/fault/lib';
use Crash;
use Resume;
use Test::More;
use Time::HiRes qw(time);

need_strace();
servers();
nginx();

my $half = 150_000;
my @errors = qw(ENOSPC EIO EDQUOT);
my $fallible = qr/^(?:openat|fallocate|pwrite64|fdatasync|fsync|renameat2?
                      |pread64|read|ftruncate|unlinkat|fcntl|newfstatat)$/x;
my (@uploads, %runs, $turn);

# `fail` is what the client may be told beside 500 and 507

my @scenarios = (
    { name => 'creation', more => 1, act => \&create },
    { name => 'creation with bytes', more => 1,
      act => sub { create($_[0], upto => $half) } },
    { name => 'PATCH', before => \&create, more => 1,
      act => sub { append($_[0], 0, $half) } },
    { name => 'PATCH with a checksum', before => \&halved,
      act => sub { summed($_[0], $half) } },
    { name => 'PATCH with a wrong checksum', before => \&halved, more => 1,
      act => sub { summed($_[0], 1) }, well => 460 },
    { name => 'PATCH to the end', before => \&halved,
      act => sub { append($_[0], $half) } },
    { name => 'HEAD', before => \&halved, more => 1, act => \&look,
      fail => 423 },
    { name => 'DELETE', before => \&halved, act => \&erase, more => 1 },
);


sub halved {
    my ($u) = @_;

    create($u);
    append($u, 0, $half);
}


sub summed {
    my ($u, $bytes) = @_;

    $u->{either} = [$half, $half + 100_000];
    return append($u, $half, $half + 100_000,
        'Upload-Checksum' => Exam::Tus::checksum('sha1',
            substr $u->{data}, $half, $bytes == 1 ? 1 : 100_000));
}


# Calls on the spool that can fail, each once.

sub fallible {
    my (@points) = @_;

    my %seen;
    return grep { $_->{call} =~ $fallible && $_->{target} =~ m{UPLOAD|part/XX}
                  && $_->{role} eq 'pool' && !$seen{$_->{id}}++ } @points;
}


# One act, under an injection or only traced.

sub run {
    my ($scenario, $what, $inject) = @_;

    my $pid = answered();
    my @others = grep { $_ != $pid } threads($pid);
    my $u = resume_of(what => "$scenario->{name}, $what");

    $scenario->{before}->($u) if $scenario->{before};

    my $t = attach($inject ? (pids => \@others, inject => [$inject])
                           : (pids => [$pid], follow => 1));
    my $res = $scenario->{act}->($u);

    detach($t);
    push @uploads, $u;

    my @points = points($t, $u,
                        role => sub { $_[0]{tid} == $pid ? 'main' : 'pool' });

    return ($u, $res, answered() == $pid, @points);
}


# What is wrong of one injection; undef: it has hit something else.

sub wrong {
    my ($scenario, $error, $point, $u, $res, $alive, @points) = @_;

    my ($hit) = grep { $_->{injected} } @points;

    return $alive ? '' : 'the process is gone', 1 if !$hit
        || $hit->{id} ne $point->{id};
    return 'the process is gone' unless $alive;
    return 'no answer' unless $res;

    # an error that costs nobody anything is none
    my $expect = $error eq 'EIO' ? 500 : 507;

    return "status $res->{status}" if $res->{status} !~ /^(?:500|507|20[014])$/
        && $res->{status} != ($scenario->{fail} // 0)
        && $res->{status} != ($scenario->{well} // 0);
    return "status $res->{status} of $error"
        if $res->{status} =~ /^50/ && $res->{status} != $expect;

    return satisfied($u);
}


sub inject {
    my ($scenario) = @_;

    my ($u, $res, undef, @trace) = run($scenario, 'trace');
    my @points = fallible(@trace);
    my (@wrong, %seen, %told);

    sighted(\%seen, \@trace);
    ok $res && $res->{status} =~ /^(?:20[014]|460)$/,
        "$scenario->{name}: is traced";
    cmp_ok scalar(@points), '>=', 3, "$scenario->{name}: calls that can fail";

    for my $point (@points) {
        for my $error (more() ? @errors : $errors[$turn++ % @errors]) {
            my ($wrong, $missed, %taken);

            for (1 .. 40) {
                my $nth = aim(\%seen, $point->{id}, \%taken);
                my @run = run($scenario, "$error at $point->{id}",
                              "$point->{call}:error=$error:when=$nth");

                sighted(\%seen, [@run[3 .. $#run]], $point->{id}, $nth);
                ($wrong, $missed) = wrong($scenario, $error, $point, @run);
                $told{$run[1] ? $run[1]{status} : 'none'}++ unless $missed;
                $runs{$scenario->{name}}++;
                last unless $missed;
            }

            $wrong ||= 'was not hit' if $missed;
            push @wrong, "$error at $point->{id}: $wrong" if $wrong;
        }
    }

    is_deeply \@wrong, [],
        '... each error is told, and the client goes on where it was'
        or diag join "\n", @wrong;
    cmp_ok(($told{500} // 0) + ($told{507} // 0) + ($told{423} // 0), '>', 0,
           '... some are told');
    note "$scenario->{name}: $runs{$scenario->{name}} errors at "
        . @points . ' calls, answers '
        . join ', ', map { "$_ x $told{$_}" } sort keys %told;
}


for my $scenario (grep { !$_->{more} || more() } @scenarios) {
    inject($scenario);
}


# as long as it lasts

for my $call (more() ? qw(openat pwrite64 fdatasync renameat fsync) : ()) {
    for my $scenario (grep { $_->{name} =~ /^PATCH/ } @scenarios) {
        my ($u, $res, $alive, @points) = run($scenario, "$call for ever",
                                             "$call:error=EIO");

        ok $alive && $res && $res->{status} == 500,
            "$scenario->{name}: while every $call() fails: 500"
            or diag $res ? $res->{status} : 'none';
        is satisfied($u), '', '... and the client goes on when it does no more';
    }
}

# what was hit elsewhere, and not gone on with
my @left = grep { $_ } map { satisfied($_) } @uploads;

is_deeply \@left, [], 'every upload can be ended';

start_worker();
ok drained(60), 'the worker empties the spool'
    or diag join "\n", files_below(Exam::spool(), qr/./);
is_deeply [audit(@uploads)], [], 'every upload is stored once, whole';
is_deeply [Spool::files(Exam::spool() . '/bad')], [], 'nothing was damaged';

done_testing;
