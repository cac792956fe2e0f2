# nginx is killed at every system call with which it creates, continues, takes
# over, finishes, deletes and sweeps resumable uploads.  No offset that a client
# was told goes back, an append with a checksum counts whole or not at all, what
# was deleted stays so; the client that goes on is stored once and whole, and
# nothing is left in the spool.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/fault/lib';
use Crash;
use Fcntl qw(LOCK_EX LOCK_UN);
use IO::Select;
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
    { name => 'takeover', more => 1, before => \&hung,
      act => \&taken_over, workers => 2 },
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


# A connection that hangs in the middle, in the first process of two; the others
# are stopped while it is accepted.

sub hung {
    my ($u, @pids) = @_;

    halved($u);
    $u->{hung} = wire_of(@pids);
    begun($u, $half, 50_000, $u->{hung});
    arrived(50_000);
}


sub taken_over {
    my ($u, @pids) = @_;

    my $wire = wire_of(reverse @pids);
    my $res = ask($u, req => 'HEAD', $u->{url}, {}, undef, wire => $wire);

    append($u, $u->{told}, undef, wire => $wire)
        if $res && $res->{status} == 200;

    # it must not say that it has succeeded
    my $said = IO::Select->new($u->{hung}{sock})->can_read(0.3)
               ? eval { $u->{hung}->response } : undef;

    push @{ $u->{wrong} }, "the one that hung says $said->{status}"
        if $said && $said->{status} < 300;
    $u->{hung}->close;
}


# A connection that the first process has.

sub wire_of {
    my ($pid, @others) = @_;

    kill 'STOP', @others;

    my $wire = Exam::Wire->new($Crash::Nginx);
    my $port = sprintf '%04X', $wire->{sock}->sockport;
    my $had = wait_for {
        my ($inode) = map { (split)[9] }
            grep { (split)[2] =~ /:$port$/ }
            split /\n/, Exam::slurp('/proc/net/tcp');

        return $inode && grep { (readlink // '') eq "socket:[$inode]" }
                         glob "/proc/$pid/fd/*";
    } 5;

    kill 'CONT', @others;
    return $wire;
}


# Processes that have done nothing yet; the sweep waits where it is looked at.

sub fresh {
    my ($scenario) = @_;

    my $count = $scenario->{workers} // 1;
    my @old = all_answered($count);

    if ($scenario->{files}) {
        open $sweep, '>>', Exam::spool() . '/recovery.lock' or die "$!\n";
        flock $sweep, LOCK_EX or die "recovery.lock: $!\n";
    }

    kill 'KILL', @old;
    return all_answered($count, @old);
}


# One act under strace; nth: the call at which a process is killed.

sub run {
    my ($scenario, $point) = @_;

    my @pids = fresh($scenario);
    my $u = resume_of(what => "$scenario->{name}, "
                              . ($point ? $point->{id} : 'trace'));

    $scenario->{before}->($u, @pids) if $scenario->{before};

    my %role = map { my $pid = $_;
                     map { ($_ => ($pid == $pids[0] ? '' : 'other ')
                                  . ($_ == $pid ? 'main' : 'pool')) }
                     threads($pid) } @pids;
    my $t = attach(!$point ? (pids => \@pids, follow => 1)
        : (pids => [grep { $role{$_} eq $point->{role} } keys %role],
           inject => ["$point->{call}:signal=KILL:when=$point->{nth}"]),
        $scenario->{files} ? (path => [paths($u)]) : ());

    $scenario->{act}->($u, @pids);

    # what comes behind the answer
    my $killed = wait_for { grep { !kill 0, $_ } @pids } $point ? 0.5 : 0.2;

    detach($t);
    close $sweep if $scenario->{files};

    my @points = points($t, $u, role => sub {
        my ($call) = @_;

        # a look at the room that is left, or for more, a timer makes
        return '' if $call->{target} =~ m{^SPOOL$|^SPOOL/journal/reserve};
        return $role{$call->{tid}} // '';
    });

    all_answered(scalar @pids, grep { !kill 0, $_ } @pids) if $killed;
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
my $workers = 1;

for my $scenario (grep { !$_->{more} || more() } @scenarios) {
    my $start = time;

    if (($scenario->{workers} // 1) != $workers) {
        $Crash::Nginx->stop('QUIT');
        nginx(workers => $workers = $scenario->{workers} // 1);
    }

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
