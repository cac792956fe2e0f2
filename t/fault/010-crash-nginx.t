# nginx is killed at every system call with which it receives and finishes an
# upload.  Whatever was acknowledged is stored once and whole; what was not is
# there or not, never half of it; the client that repeats its PUT is satisfied;
# nothing is left in the spool.  The same with events and the journal.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/fault/lib';
use Crash;
use Test::More;
use Time::HiRes qw(sleep time);

need_strace();
servers();
nginx();

my (@uploads, @events, %count);

my @scenarios = (
    { name => 'PUT', put => {} },
    { name => 'events', events => 1, least => 3 },
    { name => 'PUT in chunks', put => { chunked => 1 }, more => 1 },
    { name => 'PUT of one packet', put => {}, size => 100, more => 1 },
);


# One upload under strace; nth: the call at which the process is killed.
# Returns the upload, what was hit and what was seen.

sub run {
    my ($scenario, $point) = @_;

    my $pid = fresh();
    my @tids = grep { $_ != $pid } map { s{.*/}{}r } glob "/proc/$pid/task/*";
    my $u = upload_of(size => $scenario->{size}, what => $point
                      ? $point->{id} : 'trace');
    my $t = attach(!$point ? (pids => [$pid], follow => 1)
        : (pids => $point->{role} eq 'main' ? [$pid] : \@tids,
           inject => ["$point->{call}:signal=KILL:when=$point->{nth}"]));

    act($u, $scenario);

    # what comes behind the answer
    my $killed = wait_for { !kill 0, $pid } $point ? 0.5 : 0.2;

    detach($t);

    # events have nothing to do with Redis, what is said there is a flush
    my @points = points($t, $u, role => sub {
        my ($call) = @_;
        return '' if $scenario->{events} && $call->{target} eq 'redis';

        # nor has the look at the room that is left, which a timer makes
        return '' if $call->{target} =~ m{^SPOOL$|^SPOOL/journal/reserve};
        return $call->{tid} == $pid ? 'main' : 'pool';
    });

    return ($u, $killed ? hit(@points) : undef, @points)
        if !$point || !$killed;

    answered($pid);
    return ($u, hit(@points), @points);
}


# A process that has done nothing yet: its journal is not there either.

sub fresh {
    my $old = answered();

    kill 'KILL', $old;
    return answered($old);
}


sub act {
    my ($u, $scenario) = @_;

    return $scenario->{events} ? post($u) : put($u, %{ $scenario->{put} });
}


# '' when the client's repetition is answered as it must be.

sub repeated {
    my ($u, $scenario) = @_;

    my $acked = $u->{acked};
    my $res = act($u, $scenario);

    return 'no answer' unless $res;

    if ($scenario->{events}) {
        return $res->{status} == 202 ? '' : "status $res->{status}";
    }

    return "status $res->{status} $res->{body}"
        if $res->{status} != 200 && $res->{status} != 201;
    return 'status 201 after a 201' if $acked && $res->{status} == 201;
    return 'other content' if $res->{json}{sha256} ne $u->{sha256};

    my @left = wait_for { !files_below(Exam::spool() . '/part', qr/./) } 5;

    return @left ? '' : join ' ', 'left in part/:', files_below(
        Exam::spool() . '/part', qr/./);
}


for my $scenario (grep { !$_->{more} || more() } @scenarios) {
    my $start = time;
    my ($u, undef, @trace) = run($scenario);

    my $all = $scenario->{events} ? \@events : \@uploads;

    ok $u->{acked}, "$scenario->{name}: is acknowledged, and traced";
    push @$all, $u;

    # what stands in one of two traces only is a timer's work, not a step
    my ($second, undef, @second) = run($scenario);
    my @order = map { $_->{id} } my @steps = steps(\@second, \@trace);
    my (%hit, %seen, @wrong);

    push @$all, $second;
    sighted(\%seen, $_) for \@trace, \@second;

    cmp_ok scalar(@order), '>=', $scenario->{least} // 20,
        "$scenario->{name}: points are listed";

    for my $point (@steps) {
        my ($id, %taken) = ($point->{id});

        for (1 .. 40) {
            last if $hit{$id};

            my $nth = aim(\%seen, $id, \%taken);
            my ($u, $hit, @points) = run($scenario,
                                         { %$point, nth => $nth });

            push @$all, $u;
            $count{runs}++;

            sighted(\%seen, \@points, $id, $nth);
            next unless $hit;

            $u->{what} = $hit->{id};
            $hit{$hit->{id}}++;
            $count{acked}++ if $u->{acked};

            my $wrong = repeated($u, $scenario);
            push @wrong, "$hit->{id}: $wrong" if $wrong;
        }
    }

    my @missed = grep { !$hit{$_} } @order;

    is_deeply \@missed, [], "$scenario->{name}: killed at every point"
        or diag join "\n", grep { !$hit{$_} } @order;
    is_deeply \@wrong, [], '... and the repeated PUT is satisfied each time';

    note sprintf '%s: %d points, %d hit, %d runs, %.1f s', $scenario->{name},
        scalar @order, scalar(keys %hit), $count{runs}, time - $start;
}

# an upload that no kill has met may not have been repeated
$_->{acked} or put($_) for @uploads;

$_->{acked} or post($_) for @events;

start_worker();
ok drained(60), 'the worker empties the spool'
    or diag join "\n", files_below(Exam::spool(), qr/./);

is_deeply [audit(@uploads)], [], 'every upload is stored once, whole';
is_deeply [Spool::files(Exam::spool() . '/bad')], [], 'nothing was damaged';
ok +(wait_for { !grep { events_of($_) ne all_events($_) } @events } 60),
    'every event has its row'
    or diag map { "$_->{what}: " . events_of($_) . "\n" }
            grep { events_of($_) ne all_events($_) } @events;
cmp_ok $count{acked}, '>', 0, 'some had been acknowledged';

# a node that knows nothing any more
$Crash::Nginx->stop('QUIT');
nginx();

my @statuses = map { (put($_) // {})->{status} // 'none' } @uploads;
is_deeply [grep { $_ ne 200 } @statuses], [],
    'each is known after a restart: the same again is 200';
is_deeply [audit(@uploads)], [], 'and changes nothing';

done_testing;
