# exam-worker is killed at every system call between the claim of an upload and
# its acknowledgement to the doorbell: in the store once and whole, one row,
# settled, nothing left in the spool.  The same with events that it takes over
# from the journal.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/fault/lib';
use Crash;
use File::Temp ();
use Test::More;
use Time::HiRes qw(time);

need_strace();
servers();

my $store = Exam::recordings();
my (%count, $shm);

my @scenarios = (
    { name => 'an upload', act => \&put },
    { name => 'to another file system', act => \&put, before => \&elsewhere,
      after => \&here },
    { name => 'events', act => \&post, events => 1, least => 10 },
    { name => 'a double', first => \&offer, act => \&offer },
);


# The same segment with the same content a second time, under another id: the
# worker keeps one.

sub offer {
    my ($u) = @_;

    $u->{id} = Spool::offer(student => $u->{student}, session => $u->{sid},
                            data => $u->{data})->{id};
    $u->{acked} = 201;
}


sub elsewhere {
    $shm = File::Temp->newdir('exam-XXXXXXXX', DIR => '/dev/shm');

    rename $store, "$store.here" or die "$store: $!\n";
    symlink "$shm", $store or die "$store: $!\n";
}


sub here {
    unlink $store;
    rename "$store.here", $store or die "$store: $!\n";
}


# One upload under strace; nth: the call at which the process is killed.

sub run {
    my ($scenario, $point, $nth) = @_;

    my $pid = $Spool::Worker->pid;
    my $u = upload_of(size => 100_000,
                      what => $point ? $point->{id} : 'trace');

    if ($scenario->{first}) {
        $scenario->{first}->($u);
        wait_for { settled($u) } 30;
    }

    my @threads = threads($pid);
    my %order = map { $threads[$_] => $_ } 0 .. $#threads;
    my $t = attach(!$point ? (pids => [$pid], follow => 1)
        : (pids => [$threads[$point->{role} =~ /(\d+)/ ? $1 : 0]],
           inject => ["$point->{call}:signal=KILL:when=$nth"]));

    $scenario->{act}->($u);
    $count{unanswered}++ unless $u->{acked};

    wait_for {
        return !$Spool::Worker->running
               || done($scenario, $u) && ++$u->{rounds} > 2;
    } 30;

    my $killed = !$Spool::Worker->running;
    detach($t);

    return ($u, $killed, journal_points($t, $u, \%order))
        if $scenario->{events};

    my @points = points($t, $u,
        since => $point && $point->{role} ne 'main' ? undef : qr/UPLOAD/,
        role => sub {
            my ($call) = @_;
            return 'main' if $call->{tid} == $pid;
            return $call->{target} =~ /UPLOAD|STUDENT|STORE/
                ? "thread $order{$call->{tid}}" : '';
        }, until => sub { $_[0]{args} =~ /XREADGROUP/ });

    return ($u, $killed, @points);
}


# Those of the thread that takes the journals over: from its look at one that
# has grown to the next look around.

sub journal_points {
    my ($t, $u, $order) = @_;

    return points($t, $u, since => qr{journal/LOG}, role => sub {
        my ($call) = @_;
        return $call->{target} =~ m{journal/LOG|^mysql}
            ? "thread $order->{$call->{tid}}" : '';
    }, until => sub { $_[0]{target} eq 'SPOOL/journal'
                      && $_[0]{call} eq 'openat' });
}


sub done {
    my ($scenario, $u) = @_;

    return $scenario->{events} ? events_of($u) eq all_events($u)
                               : settled($u);
}


# What is not in the table yet must still be spoken of in the spool: the row
# that a start makes of a side-car is not what the promise rests on.

sub accounted {
    my ($u) = @_;

    return '' if Spool::rows("student = '$u->{student}'")
        || grep { -e Exam::spool() . "/$_/$u->{id}.info" } qw(ready work);
    return 'neither a row nor a manifest';
}


sub settled {
    my ($u) = @_;

    my ($state) = split / /, Spool::redis('HGET',
        "exam:{$Crash::Exam}:seg:$u->{student}", "$u->{sid}:screen:0") // '';

    return ($state // '') eq 'stored' && drained(0)
        && Spool::redis('XLEN', Spool::bell()) == 0;
}


# '' when the next worker has made good what the dead one left.

sub mended {
    my ($u, $scenario) = @_;

    if ($scenario->{events}) {
        wait_for { done($scenario, $u) } 30;
        my $found = events_of($u);
        return $found eq all_events($u) ? '' : "events $found";
    }

    return 'not settled: ' . join ' ', files_below(Exam::spool(),
                                                   qr/\.(?:rec|info)$/)
        unless wait_for { settled($u) } 30;

    my @left = files_below("$store/$Crash::Exam/$u->{student}", qr/\.tmp$/);
    return "left @left" if @left;

    return stored($u);
}


# One that has made rows has its statements prepared: not as traced.

sub again {
    $Spool::Worker->stop('KILL');
    start_worker();
}


nginx();

for my $scenario (grep { !$_->{more} || more() } @scenarios) {
    my $name = $scenario->{name};
    my $start = time;

    $scenario->{before}->() if $scenario->{before};
    start_worker();

    my ($u, undef, @trace) = run($scenario);
    is mended($u, $scenario), '', "$name: is traced";

    # the second, and all that follow, with a worker that comes after a kill
    again();
    ($u, undef, my @second) = run($scenario);
    is mended($u, $scenario), '', '... twice';

    my @order = map { $_->{id} } my @steps = steps(\@trace, \@second);
    my (%hit, %seen, @wrong);

    sighted(\%seen, \@second);

    cmp_ok scalar(@order), '>=', $scenario->{least} // 30,
        "$name: points are listed";

    for my $point (@steps) {
        my ($id, %taken) = ($point->{id});

        for (1 .. 40) {
            last if $hit{$id};
            again();

            my $nth = aim(\%seen, $id, \%taken);
            my ($u, $killed, @points) = run($scenario, $point, $nth);
            my $hit = $killed ? hit(@points) : undef;
            my $wrong = $scenario->{events} ? '' : accounted($u);

            sighted(\%seen, \@points, $id, $nth);
            $count{$name}++;

            if ($hit) {
                $u->{what} = $hit->{id};
                $hit{$hit->{id}}++;
            }

            start_worker() if $killed;
            $wrong ||= mended($u, $scenario);
            push @wrong, "$u->{what}: $wrong" if $wrong;
        }
    }

    is_deeply [grep { !$hit{$_} } @order], [], "$name: killed at every point"
        or diag join "\n", @order;
    is_deeply \@wrong, [], '... and stored once and whole each time';

    note sprintf '%s: %d points, %d runs, %.1f s', $name, scalar @order,
        $count{$name}, time - $start;

    is Spool::stop_worker(), 0, "$name: the worker leaves in order";
    $scenario->{after}->() if $scenario->{after};
}

is $count{unanswered}, undef, 'nginx has acknowledged every upload';
is_deeply [Spool::files(Exam::spool() . '/bad')], [], 'nothing was damaged';

done_testing;
