package Storm::Audit;

# After the storm: what the clients were promised against what is there.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA ();
use Exporter 'import';
use File::Find ();
use JSON::PP ();

use Exam;
use Storm;

our @EXPORT = qw(acknowledged commands_right crashes doubles figures
                 files_without_row lost_events lost_uploads sessions_right
                 settled spool_left told unknown_rows variants wrong_files);

my $json = JSON::PP->new->canonical->utf8;
my (%told, %row, @rows);


# What the clients have told, by its first word.

sub told {
    my ($what) = @_;

    unless (%told) {
        push @{ $told{shift @$_} }, $_ for Storm::Client::told();
    }

    return @{ $told{$what} // [] };
}


sub sql { return $Storm::Mysql->sql(@_) }


# What is left in the spool, but for journals and what is bad.

sub spool_left {
    my @left;
    my $spool = Exam::spool();

    File::Find::find({ no_chdir => 1, wanted => sub {
        push @left, $_ if -f $_;
    } }, grep { -d } map { "$spool/$_" } qw(part ready work));

    return @left;
}


# Everything that was acknowledged has its row, and nothing is under way.

sub settled {
    my ($seconds) = @_;

    my %acks = map { $_->[3] => 1 } told('ack');
    my $events = () = told('event');

    return Storm::wait_for {
        my ($rows) = sql('SELECT (SELECT COUNT(*) FROM recordings), '
                         . '(SELECT COUNT(*) FROM events)');
        return $rows->[0] >= keys %acks && $rows->[1] >= $events
               && !spool_left();
    } $seconds;
}


sub rows {
    unless (@rows) {
        @rows = sql('SELECT session, kind, n, LOWER(HEX(sha256)), variant,'
            . " bytes, path FROM recordings WHERE exam = '$Storm::Exam'");
        push @{ $row{"@$_[0 .. 3]"} }, $_ for @rows;
    }

    return @rows;
}


sub acknowledged {
    my %acks = map { ("@$_" => 1) } told('ack');

    return sort keys %acks;
}


sub lost_uploads {
    rows();
    return grep { !$row{$_} } acknowledged();
}


# One content twice, or two rows that both are the segment.

sub doubles {
    my %first;

    $first{"@$_[0 .. 2]"}++ for grep { $_->[4] == 0 } rows();
    return (grep({ @{ $row{$_} } > 1 } sort keys %row),
            grep({ $first{$_} > 1 } sort keys %first));
}


# Other content of a segment that was acknowledged while nothing knew of the
# first one.

sub variants { return grep { $_->[4] > 0 } rows() }


# Rows that no client has asked for: one whose answer was lost says `maybe`.

sub unknown_rows {
    my %sent = map { ("@$_" => 1) } told('ack'), told('maybe');

    rows();
    return grep { !$sent{$_} } sort keys %row;
}


sub wrong_files {
    my @wrong;

    for my $row (rows()) {
        my $file = Exam::recordings() . "/$row->[6]";

        push @wrong, $row->[6] if !-f $file || -s $file != $row->[5]
            || Digest::SHA->new(256)->addfile($file)->hexdigest ne $row->[3]
            || !-s "$file.json";
    }

    return @wrong;
}


sub files_without_row {
    my %path = map { (Exam::recordings() . "/$_->[6]" => 1) } rows();
    my @stray;

    File::Find::find({ no_chdir => 1, wanted => sub {
        push @stray, $_ if -f $_ && !$path{s/\.json$//r};
    } }, Exam::recordings());

    return @stray;
}


sub lost_events {
    my %events = map { ("@$_" => 1) }
        sql("SELECT session, event FROM events WHERE exam = '$Storm::Exam'");

    return grep { !$events{$_} } map { "@$_" } told('event');
}


# Each command that was sent has its delivery, confirmed, to whom it was sent;
# what was confirmed was acknowledged by this client; effects that add up have
# happened once.  Returns what is wrong.

sub commands_right {
    my (@wrong, %extra, %locked);
    my %state = map { ("$_->[0] $_->[1]" => $_->[2]) }
        sql('SELECT command, student, state FROM deliveries');
    my %acked = map { ("$_->[1] $_->[0]" => 1) } told('acked');
    my %ran;

    $ran{"$_->[1] $_->[0]"}++ for told('ran');

    for my $sent (sort { $a->[0] <=> $b->[0] } told('sent')) {
        my ($id, $student, $type, $seconds) = @$sent;
        my $is = delete $state{"$id $student"} // 'missing';

        push @wrong, "$id to $student is $is" if $is ne 'confirmed';
        push @wrong, "$id to $student was run "
                     . ($ran{"$id $student"} // 0) . ' times'
            if ($ran{"$id $student"} // 0) != 1;
        push @wrong, "$id to $student was not acknowledged"
            unless $acked{"$id $student"};

        $extra{$student} += $seconds;
        $locked{$student} = $type eq 'lock' ? 1 : 0 if $type =~ /lock$/;
    }

    push @wrong, "delivery of $_ that nobody sent" for sort keys %state;

    my %said = map { @$_[0, 1] } told('status');
    my %flags = @{ Storm::redis('HGETALL', "exam:{$Storm::Exam}:flags") };

    for my $s (sql('SELECT student, extra_s, locked FROM students')) {
        my ($student, $is, $locked) = @$s;
        my $flags = $json->decode($flags{$student} // '{}');

        push @wrong, "$student has $is s more"
            if $is != ($extra{$student} // 0);
        push @wrong, "$student is locked: $locked"
            if $locked != ($locked{$student} // 0);
        push @wrong, "$student is told locked: $said{$student}"
            if defined $said{$student} && $said{$student} != $locked;
        push @wrong, "$student has other flags in Redis"
            if ($flags->{extra_s} // 0) != $is
               || ($flags->{locked} ? 1 : 0) != $locked;
    }

    return @wrong;
}


# The last session of each student stands in Redis and in MySQL, and an ended
# one has ended.  The records of login and logout no answer waits for: when
# nginx was killed before its journal could be written, MySQL has a session from
# its first upload, and knows nothing of its end.

sub sessions_right {
    my (%last, %ended, %uploads, @wrong);

    for (told('session')) {
        my ($student, $sid, $gen) = @$_;

        $last{$student} = [$sid, $gen]
            if $gen > ($last{$student} // ['', 0])->[1];
    }

    $ended{$_->[1]} = !Storm::unwritten($_->[2]) for told('logout');
    $uploads{$_->[0]} = 1 for told('ack');

    my %redis = @{ Storm::redis('HGETALL',
                                "exam:{$Storm::Exam}:sessions") };
    my %mysql = map { ($_->[0] => $_) }
        sql('SELECT session, gen, ended FROM sessions');

    for my $student (sort keys %last) {
        my ($sid, $gen) = @{ $last{$student} };
        my $in = $json->decode($redis{$student} // '{"sid":"","gen":0}');
        my $row = $mysql{$sid} // ['', 0, ''];

        # of a login whose answer was lost only these two know
        push @wrong, "$student: Redis has $in->{sid} $in->{gen}, not $sid"
                     . " $gen" if $in->{gen} < $gen;
        push @wrong, "$student: MySQL does not know $sid"
            if !$row->[1] && ($uploads{$sid} || !Storm::unwritten($gen));
        push @wrong, "$student: Redis does not know that $sid has ended"
            if $ended{$sid} && $in->{sid} eq $sid && $in->{ended} eq '';
        push @wrong, "$student: MySQL does not know that $sid has ended"
            if $ended{$sid} && $row->[1] && $row->[2] eq '';
    }

    return @wrong;
}


# Signals that were not ours, reports of a sanitizer, core files, and errors in
# the log that no fault explains.

sub crashes {
    my @lines = grep { /exited on signal (?!9\b)/ || /core dumped/
                       || /Sanitizer|runtime error:/ }
        map { split /\n/, Exam::slurp($_) } $Storm::Nginx->{error_log},
            "$Storm::Nginx->{dir}/stderr", Exam::dir() . '/exam-worker.stderr';

    return (@lines, Exam::bad_lines(Exam::slurp($Storm::Nginx->{error_log})),
            grep { -f } glob "$Storm::Nginx->{dir}/core* core core.*");
}


# Words and how often: "vanish 12, unread 3".

sub figures {
    my (%count) = @_;

    return join ', ', map { "$_ $count{$_}" } sort keys %count;
}


1;
