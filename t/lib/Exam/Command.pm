package Exam::Command;

# Commands as the tests need them: entries put into a control stream by hand,
# what nodes have reported there and in their journals, and a client that keeps
# the rule: run an id once, acknowledge it each time it is seen.

use strict;
use warnings;

use Exporter 'import';
use IO::Select;
use JSON::PP ();

use Exam;
use Exam::Api;

our @EXPORT = qw(command control reported recorded node_at given client beat_as
                 wait_given ids);

my $json = JSON::PP->new->canonical->utf8;
my $last = 100;


# ---- the control stream

# Adds an entry: control('30', op => 'cancel', id => 7), in this order.

sub control {
    my ($exam, @fields) = @_;

    return Exam::redis_cmd('XADD', "exam:{$exam}:control", '*', @fields);
}


# Sends a command, to everybody unless `students` names some; returns its id.
# id, type (message), payload (text or data), expires_at or expires_s (300).

sub command {
    my ($exam, %c) = @_;

    my $id = $c{id} // ++$last;
    my $payload = $c{payload} // { text => "text $id" };

    control($exam, op => 'send', id => $id, type => $c{type} // 'message',
        payload => ref $payload ? $json->encode($payload) : $payload,
        expires_at => $c{expires_at}
                      // Exam::now_ms() + 1000 * ($c{expires_s} // 300),
        to => $c{students} ? 'list' : 'all',
        $c{students} ? (students => join ' ', @{ $c{students} }) : ());

    return $id;
}


# What nodes have told: { 'id student' => how often } of an op, sent or ack.

sub reported {
    my ($exam, $op, $node) = @_;

    my %told;

    for my $entry (@{ Exam::redis_cmd('XRANGE', "exam:{$exam}:control",
                                      '-', '+') })
    {
        my %f = @{ $entry->[1] };

        next if $f{op} ne $op || defined $node && $f{node} ne $node;
        $told{"$f{id} $_"}++ for split / /, $f{students};
    }

    return \%told;
}


# The same of the journals in a spool: records of a type, sent or ack.

sub recorded {
    my ($spool, $type) = @_;

    my %told;

    for my $file (glob "$spool/journal/*.log") {
        for my $line (split /\n/, Exam::slurp($file)) {
            my $r = eval { $json->decode($line =~ s/^[0-9a-f]{8} //r) } // next;

            $told{"$r->{command} $r->{student}"}++
                if $r->{type} eq $type;
        }
    }

    return \%told;
}


# ---- nodes

# A node of its own spool, without limits: node_at('n1', workers => 2, ...).

sub node_at {
    my ($name, %change) = @_;

    my $spool = Exam::dir() . "/spool-$name";
    my %opt = map { $_ => delete $change{$_} }
              grep { exists $change{$_} } qw(workers listen dir port main);
    my $redis = delete $change{redis};

    mkdir $spool;

    my $api = Exam::Api->new(Exam::server(%opt, allow => [qr/exam redis/],
        http => Exam::http_lines(
            exam_node => $name, exam_spool => $spool,
            exam_heartbeat_rate => '0', exam_poll_rate => '0',
            exam_redis_timeout => '500ms', %change)), redis => $redis);

    $api->{spool} = $spool;
    return $api;
}


# ---- what a session is given

# The commands of one heartbeat's reply; acks => [ids].

sub given {
    my ($api, $token, @acks) = @_;

    my $res = $api->beat($token, { seq => $api->{seq}++ // 0,
                                   @acks ? (ack => [map { 0 + $_ } @acks])
                                         : () });

    die "heartbeat: $res->{status} $res->{content}\n"
        if $res->{status} != 200;

    return @{ $res->{json}{commands} };
}


sub ids { return join ' ', map { $_->{id} } @_ }


# Beats until the ids given are these, blanks between; true then.

sub wait_given {
    my ($api, $token, $want) = @_;

    my $got = '';

    return 1 if Exam::wait_for {
        ($got = ids(given($api, $token))) eq $want
    };

    Test::More::diag("given: $got");
    return 0;
}


# A client: { token, ran => { id => how often }, ack => [ids] }.

sub client {
    my ($token) = @_;

    return { token => $token, seq => 0, ran => {}, seen => {}, ack => [] };
}


# One heartbeat of it.  lost: the reply is not read; the next beat repeats the
# seq and the acks.  Returns whether a 200 came.

sub beat_as {
    my ($api, $c, %opt) = @_;

    my $body = { seq => $c->{seq}, ack => [@{ $c->{ack} }] };

    if ($opt{lost}) {
        my $sock = eval { $api->connect } or return 0;
        my $text = Exam::Api::raw_request('POST', '/api/v1/heartbeat',
            ["Authorization: Bearer $c->{token}"], $json->encode($body));

        local $SIG{PIPE} = 'IGNORE';
        $sock->syswrite($text);

        # it has been answered when there is something to read
        IO::Select->new($sock)->can_read(2);
        return 0;
    }

    my $res = eval { $api->beat($c->{token}, $body) };

    return 0 if !$res || $res->{status} != 200;

    $c->{seq}++;
    $c->{ack} = [];

    for my $command (@{ $res->{json}{commands} }) {
        $c->{ran}{$command->{id}}++ unless $c->{seen}{$command->{id}}++;
        push @{ $c->{ack} }, $command->{id};
    }

    return 1;
}


1;
