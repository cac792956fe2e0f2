# Power loss among resumable uploads: created, continued, cut off, finished,
# deleted, and traced meanwhile.  At each moment the spool is laid out with what
# a disk must have kept by then, and with what else it may have kept, any of the
# names without those before; nginx starts on that under another boot id.  Every
# offset that had been told is there, what was complete is complete, what was
# deleted stays so, and the client goes on to the end.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/fault/lib';
use Crash;
use Power;
use Resume;
use Test::More;
use Time::HiRes qw(sleep time);

need_strace();
servers();
nginx();

my ($size, $half) = (30_000, 13_000);
my $power = Power->base;
my $trace = attach(pids => [answered()], follow => 1, size => 100_000);
my %u = map { $_ => resume_of(size => $size, what => $_) }
            qw(pieces checked deleted whole);

# what each answer has told: upload, its offset, or that it is gone
my @told;


sub done {
    my ($name, $res) = @_;

    die "$name: no answer\n" unless $res;

    my $u = $u{$name};

    push @told, { name => $name, status => $res->{status},
                  offset => $u->{told}, gone => $u->{deleted} };
    return $res;
}


done(pieces => create($u{pieces}));
done(pieces => append($u{pieces}, 0, $half));
done(checked => create($u{checked}, upto => $half));

# what was written and not told, is told by the next HEAD
{
    begun($u{pieces}, $half, 5_000)->close;
    wait_for { (-s Exam::spool() . '/' . part_of($u{pieces}, 'part'))
               == $half + 5_000 } 10;
}

done(pieces => look($u{pieces}));
done(deleted => create($u{deleted}, upto => 100));

# right, and wrong
done(checked => append($u{checked}, $half, 20_000, 'Upload-Checksum' =>
    Exam::Tus::checksum('sha1', substr $u{checked}{data}, $half, 7_000)));
done(checked => append($u{checked}, 20_000, 25_000, 'Upload-Checksum' =>
    Exam::Tus::checksum('sha1', 'of something else')));
done(deleted => erase($u{deleted}));
done(pieces => append($u{pieces}, $u{pieces}{told}));
done(checked => append($u{checked}, 20_000));
done(whole => create($u{whole}, upto => $size));

detach($trace);
$power->read($trace);

my @mine = @told;
my @answers = $power->answers;

is join(' ', map { $_->{status} } @told), '201 204 201 200 201 204 460 204'
    . ' 204 204 201', 'all is traced as it was meant';

is join(' ', map { $_->{status} } @answers),
    join(' ', map { $_->{status} } @told), '... with all its answers';

$_->{at} = (shift @answers // {})->{at} // 0 for @mine;
kill_nginx();

for my $u (values %u) {
    is_deeply $u->{wrong}, [], "$u->{what}: no offset went back";
}


# What the clients knew at the moment; '' or what has become wrong of it.

sub recovered {
    my ($moment) = @_;

    my %now = map { ($_ => resume_as($u{$_})) } keys %u;

    for my $told (grep { $_->{at} <= $moment } @mine) {
        my $u = $now{$told->{name}};

        $u->{url} = $u{$told->{name}}{url};
        $u->{told} = $told->{offset};
        $u->{deleted} = $told->{gone} if $told->{gone};
    }

    # a DELETE on its way may have come to its end
    $now{deleted}{deleted} //= 1;

    for my $name (sort keys %now) {
        my $wrong = ended($now{$name});
        return "$name: $wrong" if $wrong;
    }

    # a manifest that was replaced is removed once the worker has the file;
    # what nobody was told of goes with the sweep, a second after the start

    my @left;
    my $left = sub {
        @left = grep { !/\.gone$/ && !(m{([^/]+)\.info$}
                         && -e Exam::spool() . "/ready/$1.rec") }
                files_below(Exam::spool() . '/part', qr/./);
        return !@left;
    };

    Exam::wait_for { $left->() };
    return "left over: @left" if @left;
    return '';
}


sub resume_as {
    my ($u) = @_;

    return { %$u, told => -1, url => undef, deleted => undef, acked => undef,
             wrong => [] };
}


# As a client that goes on.  What it knows is complete it does not send again.

sub ended {
    my ($u) = @_;

    my $wrong;

    if (defined $u->{url}) {
        my $res = look($u);

        return 'no answer' unless $res;
        return "offset of a complete upload: $res->{status}"
            if $u->{told} == length $u->{data} && $res->{status} != 200;
    }

    # created, and nobody was told: complete at most
    $wrong = satisfied($u) unless !defined $u->{url} && conflict($u);
    return $wrong if $wrong;

    my $rec = Exam::wait_for {
        scalar grep { Exam::slurp($_) eq $u->{data} }
            files_below(Exam::spool() . '/ready', qr/\.rec$/);
    };

    return $rec ? '' : 'not in ready/';
}


# Is the number's content complete already?

sub conflict {
    my ($u) = @_;

    my $res = create($u);

    return $res && $res->{status} == 409;
}


my (%seen, @wrong, %count);
my $start = time;

for my $moment ($power->moments) {
    my $known = grep { $_->{at} <= $moment } @mine;
    my $whole = more();

    # after each answer, in the short run
    next unless $whole || grep { $_->{at} == $moment } @mine;

    for my $state ($power->states($moment, few => !$whole,
                                         renames => 1)) {
        next if $seen{$known, $state->{digest}}++;

        $power->lay($state);
        Spool::redis('FLUSHALL');
        nginx();

        my $wrong = recovered($moment);
        push @wrong, "after $moment, $known answers, $state->{text}: $wrong"
            if $wrong;
        $count{$known}++;

        kill_nginx();
    }
}

is_deeply \@wrong, [], 'nothing that was told is lost'
    or diag join "\n", @wrong;
cmp_ok $count{$_} // 0, '>', 0, "states with $_ answers" for 1 .. @told;
note sprintf '%d states of %d moments, %.1f s', scalar(keys %seen),
    scalar($power->moments), time - $start;

done_testing;
