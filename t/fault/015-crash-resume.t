# nginx is killed at every system call with which it creates, continues, takes
# over, finishes, deletes and sweeps resumable uploads.  No offset that a client
# was told goes back, an append with a checksum counts whole or not at all, what
# was deleted stays so; the client that goes on is stored once and whole, and
# nothing is left in the spool.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/fault/lib';
use Crash;
use Fcntl qw(LOCK_EX LOCK_NB LOCK_UN);
use Resume;
use Test::More;
use Time::HiRes qw(sleep time);

need_strace();
servers();

my $half = 150_000;
my (@uploads, %count, $sweep);

my @scenarios = (
    { name => 'creation', more => 1, act => \&create },
    { name => 'creation with bytes', more => 1,
      act => sub { create($_[0], upto => $half) } },
    { name => 'PATCH', more => 1, before => \&create,
      act => sub { append($_[0], 0, $half) } },
    { name => 'PATCH with a checksum', more => 1, before => \&halved,
      act => \&summed },
    { name => 'PATCH to the end', before => \&halved,
      act => sub { append($_[0], $half) } },
    { name => 'HEAD of what was cut off', more => 1, before => \&cut,
      act => \&look },
    { name => 'DELETE', more => 1, before => \&halved, act => \&erase },
    { name => 'sweep', more => 1, before => \&expired, act => \&swept,
      files => 1, least => 5 },
);


sub halved {
    my ($u) = @_;

    create($u);
    append($u, 0, $half);
}


# Twice as many bytes, or those there were: nothing between.

sub summed {
    my ($u) = @_;

    my $to = $half + 100_000;

    $u->{either} = [$half, $to];
    append($u, $half, $to, 'Upload-Checksum' => Exam::Tus::checksum('sha1',
        substr $u->{data}, $half, $to - $half));
    $u->{either} = [$to] if $u->{told} == $to;
}


# Bytes that nobody was told of.

sub cut {
    my ($u) = @_;

    create($u);

    my $wire = begun($u, 0, $half);

    arrived($half);
    $wire->close;
    wait_for { (-s Exam::spool() . '/' . part_of($u, 'part')) == $half } 10;
}


# The sweep waits for its lock, a second at a time.

sub expired {
    my ($u) = @_;

    halved($u);
    age($u);
    $u->{deleted} = 1;
}


sub swept {
    my ($u, $pid) = @_;

    flock $sweep, LOCK_UN or die "recovery.lock: $!\n";

    wait_for {
        return !-e "/proc/$pid/exe"
            || !grep { -e Exam::spool() . '/' . part_of($u, $_) } qw(info part);
    } 20;

    # a thread that has removed the last name has its directory to sync
    sleep 0.2;
}


# A process that has done nothing yet; its sweep waits where that is looked at.

sub fresh {
    my ($scenario) = @_;

    my $old = answered();

    if ($scenario->{files}) {
        open $sweep, '>>', Exam::spool() . '/recovery.lock' or die "$!\n";
        flock $sweep, LOCK_EX or die "recovery.lock: $!\n";
    }

    kill 'KILL', $old;
    return answered($old);
}


# One act under strace; nth: the call at which the process is killed.

sub run {
    my ($scenario, $point) = @_;

    my $pid = fresh($scenario);
    my $u = resume_of(what => "$scenario->{name}, "
                              . ($point ? $point->{id} : 'trace'));

    $scenario->{before}->($u) if $scenario->{before};

    my @tids = grep { $_ != $pid } threads($pid);
    my $t = attach(!$point ? (pids => [$pid], follow => 1)
        : (pids => $point->{role} eq 'main' ? [$pid] : \@tids,
           inject => ["$point->{call}:signal=KILL:when=$point->{nth}"]),
        $scenario->{files} ? (path => [paths($u)]) : ());

    $scenario->{act}->($u, $pid);

    # what comes behind the answer
    my $killed = wait_for { !kill 0, $pid } $point ? 0.5 : 0.2;

    detach($t);
    close $sweep if $scenario->{files};

    my @points = points($t, $u, role => sub {
        my ($call) = @_;

        # a look at the room that is left, or for more, a timer makes
        return '' if $call->{target} =~ m{^SPOOL$|^SPOOL/journal/reserve};
        return $call->{tid} == $pid ? 'main' : 'pool';
    });

    answered($pid) if $killed;
    return ($u, $killed ? hit(@points) : undef, @points);
}


# Where the walk through the folders finds an upload is chance.

sub paths {
    my ($u) = @_;

    my @names = map { part_of($u, $_) } qw(part info tmp gone);

    return (@names, map { Exam::spool() . "/$_" } @names,
            part_of($u, 'part') =~ s{/[^/]+$}{}r);
}


# All points of a scenario, each once.  Returns what was wrong.

sub crash {
    my ($scenario) = @_;

    my ($name, $runs) = ($scenario->{name}, 0);
    my ($first, undef, @trace) = run($scenario);
    my ($second, undef, @second) = run($scenario);
    my (%hit, %seen, @wrong);

    push @uploads, $first, $second;
    sighted(\%seen, $_) for \@trace, \@second;

    # what stands in one of two traces only is a timer's work, not a step
    my @steps = steps(\@second, \@trace);

    cmp_ok scalar(@steps), '>=', $scenario->{least} // 10,
        "$name: points are listed";

    for my $u ($first, $second) {
        my $wrong = satisfied($u);
        push @wrong, "$u->{what}: $wrong" if $wrong;
    }

    for my $point (@steps) {
        my ($id, %taken) = ($point->{id});

        for (1 .. 40) {
            last if $hit{$id};

            my $nth = aim(\%seen, $id, \%taken);
            my ($u, $hit, @points) = run($scenario,
                                         { %$point, nth => $nth });

            push @uploads, $u;
            $runs++;

            sighted(\%seen, \@points, $id, $nth);

            if ($hit) {
                $u->{what} = "$name, $hit->{id}";
                $hit{$hit->{id}}++;
            }

            $count{told}++ if $u->{told} > 0;

            my $wrong = satisfied($u);
            push @wrong, "$u->{what}: $wrong" if $wrong;
        }
    }

    is_deeply [grep { !$hit{$_} } map { $_->{id} } @steps], [],
        "$name: killed at every point";
    is_deeply \@wrong, [],
        '... and no offset went back, the client ends its upload each time'
        or diag join "\n", @wrong;

    return (scalar @steps, scalar keys %hit, $runs);
}


nginx();

for my $scenario (grep { !$_->{more} || more() } @scenarios) {
    my $start = time;
    my @figures = crash($scenario);

    note sprintf '%s: %d points, %d hit, %d runs, %.1f s', $scenario->{name},
        @figures, time - $start;
}

start_worker();
ok drained(60), 'the worker empties the spool'
    or diag join "\n", files_below(Exam::spool(), qr/./);

is_deeply [audit(@uploads)], [], 'every upload is stored once, whole';
is_deeply [Spool::files(Exam::spool() . '/bad')], [], 'nothing was damaged';
cmp_ok $count{told}, '>', 0, 'offsets had been told';

done_testing;
