# Power loss: three uploads and two posts of events are traced on their way
# through nginx and exam-worker, and at each moment spool and store are laid out
# with what a disk must have kept by then, and with what else it may have kept.
# nginx and the worker start on that under another boot id: whatever had been
# acknowledged before the moment is stored once and whole, anything else is
# stored whole or gone; events are in the table.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/fault/lib';
use Crash;
use Power;
use Test::More;
use Time::HiRes qw(sleep time);

need_strace();
servers();
nginx();
start_worker();

my $power = Power->base;
my $trace = attach(pids => [answered(), $Spool::Worker->pid], follow => 1,
                   size => 400_000);
my @uploads = map { upload_of(size => 30_000, what => "upload $_") } 1 .. 3;

my @events = map { upload_of(what => "events $_") } 1, 2;

post($events[0]);
put($uploads[0]);
put($uploads[1]);
post($events[1]);
put($uploads[2]);

wait_for {
    Spool::rows() == @uploads && drained(0)
        && !grep { events_of($_) ne all_events($_) } @events;
} 60;
detach($trace);
$power->read($trace);

is scalar($power->acks), 5, 'five acknowledgements are traced';
is scalar(grep { $power->committed($_->{id}) } @uploads), 3,
    'and the COMMIT of each upload';

my %known = map { $_->{id} => $_ } @uploads;
is scalar(grep { $known{$_->{id} // ''} } $power->acks), 3,
    'of the three uploads';
is scalar(grep { $_->{events} } $power->acks), 2, 'and of the events';

kill_nginx();
$Spool::Worker->stop('KILL');
# a journal is read again from its start: its rows may be there already
$Spool::Mysql->sql('DELETE FROM journal_positions; DELETE FROM events');
$Spool::Mysql->sql('CREATE TABLE kept AS SELECT * FROM recordings');


# The table as it was at the moment: what had been committed.

sub table_of {
    my ($moment) = @_;

    my $in = join ',', "''", map { "'$_->{id}'" }
        grep { $power->committed($_->{id}) <= $moment } @uploads;

    $Spool::Mysql->sql('DELETE FROM journal_positions; DELETE FROM events;'
                       . ' DELETE FROM recordings; INSERT INTO recordings'
                       . " SELECT * FROM kept WHERE upload_id IN ($in)");
}


# '' or what is lost, doubled or half.

sub recovered {
    my ($moment) = @_;

    my @acks = grep { $_->{at} <= $moment } $power->acks;
    my %acked = map { $_->{id} => 1 } grep { $_->{id} } @acks;
    my @told = @events[0 .. (grep { $_->{events} } @acks) - 1];

    return 'not drained: ' . join ' ', files_below(Exam::spool(),
                                                   qr/\.(?:rec|info)$/)
        unless drained(30);

    # a manifest alone, of what nobody was told to be safe
    my @bad = grep { my ($id) = /(t1-\w+)/; /rec$/ || $acked{$id} }
              Spool::files(Exam::spool() . '/bad');
    return "in bad/: @bad" if @bad;

    my %rows;
    $rows{$_->[0]}++ for $Spool::Mysql->sql('SELECT student FROM recordings');

    for my $u (@uploads) {
        next unless $acked{$u->{id}} || $rows{$u->{student}};

        my $wrong = stored($u);
        return "$u->{what}: $wrong" if $wrong;
    }

    for my $u (@told) {
        wait_for { events_of($u) eq all_events($u) } 30
            or return "$u->{what}: " . events_of($u);
    }

    my @files = grep !/\.(?:json|tmp)$/, files_below(Exam::recordings(),
                                                     qr/./);
    return @files == keys %rows ? '' : "files without rows: @files";
}


my (%seen, @wrong, %count);
my $start = time;

for my $moment ($power->moments) {
    my $acked = grep { $_->{at} <= $moment } $power->acks;
    my $commits = grep { $_ <= $moment } $power->commits;
    my $whole = more() || grep { $_->{at} == $moment } $power->acks;

    for my $state ($power->states($moment, few => !$whole)) {
        next if $seen{$acked, $commits, $state->{digest}}++;

        $power->lay($state);
        table_of($moment);
        Spool::redis('FLUSHALL');

        nginx();
        start_worker();

        my $wrong = recovered($moment);
        push @wrong, "after $moment, $acked acknowledged, $state->{text}:"
                     . " $wrong" if $wrong;
        $count{$acked}++;

        $Spool::Worker->stop('KILL');
        kill_nginx();
    }
}

is_deeply \@wrong, [], 'nothing acknowledged is lost, nothing is half'
    or diag join "\n", @wrong;
cmp_ok $count{$_} // 0, '>', 0, "states with $_ acknowledged" for 0 .. 5;
note sprintf '%d states of %d moments, %.1f s', scalar(keys %seen),
    scalar($power->moments), time - $start;

done_testing;
