# Power loss: three uploads on their way through nginx and exam-worker are
# traced, and at each moment spool and store are laid out with what a disk must
# have kept by then, and with what else it may have kept.  nginx and the worker
# start on that under another boot id: whatever had been acknowledged before the
# moment is stored once and whole, anything else is stored whole or gone.

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

put($_) for @uploads;
wait_for { Spool::rows() == @uploads && drained(0) } 20;
detach($trace);
$power->read($trace);

is scalar($power->acks), 3, 'three acknowledgements are traced';
cmp_ok scalar($power->commits), '>=', 1, 'and a COMMIT';

my %known = map { $_->{id} => $_ } @uploads;
is scalar(grep { $known{$_->{id}} } $power->acks), 3, 'of the three uploads';

kill_nginx();
$Spool::Worker->stop('KILL');
$Spool::Mysql->sql('CREATE TABLE kept AS SELECT * FROM recordings');


# The table as it was at the moment: what had been committed.

sub table_of {
    my ($moment) = @_;

    my $commits = grep { $_ <= $moment } $power->commits;
    my @ids = map { "'$_->[0]'" } $Spool::Mysql->sql(
        'SELECT upload_id FROM kept ORDER BY stored_at, id');
    my $in = join ',', "''", @ids[0 .. $commits - 1];

    $Spool::Mysql->sql('DELETE FROM recordings; INSERT INTO recordings'
                       . " SELECT * FROM kept WHERE upload_id IN ($in)");
}


# '' or what is lost, doubled or half.

sub recovered {
    my ($moment) = @_;

    my %acked = map { $_->{id} => 1 } grep { $_->{at} <= $moment }
                $power->acks;

    return 'not drained: ' . join ' ', files_below(Exam::spool(),
                                                   qr/\.(?:rec|info)$/)
        unless drained(15);

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
cmp_ok $count{$_} // 0, '>', 0, "states with $_ acknowledged" for 0 .. 3;
note sprintf '%d states of %d moments, %.1f s', scalar(keys %seen),
    scalar($power->moments), time - $start;

done_testing;
