# 30 % of the replies are lost by the client, processes are killed in the middle,
# nginx is reloaded and started anew: each command is run exactly once by a client
# that keeps ids, and confirmed exactly once by (id, student) in journal and
# control stream (design, section 5).

use strict;
use warnings;

use lib 't/lib';

use Test::More;

use Exam;
use Exam::Api;
use Exam::Command;

Exam::allow_errors(qr/worker process \d+ exited on signal 9/);

my $seed = $ENV{EXAM_SEED} // int rand 2**31;

srand $seed;
diag("seed $seed");

my $code = $Exam::Api::Code;
my @students = map { sprintf 'S%03d', $_ } 1 .. 12;

Exam::load_exam('30', students => { map { $_ => { code => $code } }
                                        @students });

my $api = node_at('n1', workers => 2, exam_zone => 'exam:8m shards=2');
my %client = map {
    $_ => client($api->login('30', $_)->{json}{token})
} @students;

my (%want, $lost, $beats);

# Some beats of everybody, three in ten of them without a reply.

sub beats {
    for (1 .. $_[0]) {
        for my $student (@students) {
            my $drop = rand() < 0.3;

            $beats++;
            $lost++ if $drop;
            beat_as($api, $client{$student}, lost => $drop);
        }
    }
}

sub commands {
    for (1 .. $_[0]) {
        my $all = rand() < 0.3;
        my @to = $all ? @students : grep { rand() < 0.4 } @students;

        next unless @to;

        my $id = command('30', $all ? () : (students => \@to));
        $want{"$id $_"} = 1 for @to;
    }
}

my @blows = (
    [nothing => sub { }],
    ['a worker process killed' => sub {
        kill 'KILL', ($api->nginx->workers)[rand 2] }],
    ['reload' => sub { $api->nginx->reload }],
    ['both worker processes killed' => sub {
        kill 'KILL', $api->nginx->workers }],
    ['nginx restarted' => sub {
        my $port = $api->nginx->{port};

        $api->nginx->stop('QUIT');
        $api = node_at('n1', workers => 2, exam_zone => 'exam:8m shards=2',
                       port => $port) }],
    ['nginx killed' => sub {
        kill 'KILL', $api->nginx->pid, $api->nginx->workers;
        Exam::wait_for { !$api->nginx->running };
        $api = node_at('n1', workers => 2,
                       exam_zone => 'exam:8m shards=2') }],
);

for my $blow (@blows) {
    commands(4);
    beats(6);
    $blow->[1]->();
    beats(6);
    commands(4);
    beats(3);
    pass("beats and commands: $blow->[0]");
}

cmp_ok($lost / $beats, '>', 0.2, "$lost of $beats replies were lost");

# nothing is lost any more: until everybody has all of his

my %ran;

ok(Exam::wait_for {
    beat_as($api, $_) for values %client;
    %ran = map { my $s = $_;
                 map { ("$_ $s" => $client{$s}{ran}{$_}) }
                     keys %{ $client{$s}{ran} } } @students;
    keys %ran >= keys %want && !grep { @{ $_->{ack} } } values %client;
}, 'everybody has got his commands') for 1 .. 2;

is_deeply([sort keys %ran], [sort keys %want], 'each was run by whom it was for');
is(scalar(grep { $_ != 1 } values %ran), 0, 'exactly once');
cmp_ok(scalar(keys %want), '>=', 100, scalar(keys %want) . ' of them');

# the word of a killed process is told again by the session's next beat

my ($written, $told);

ok(Exam::wait_for {
    beat_as($api, $_) for values %client;
    $written = recorded($api->{spool}, 'ack');
    $told = reported('30', 'ack');
    keys %$written >= keys %want && keys %$told >= keys %want;
}, 'all are confirmed');
is_deeply([sort keys %$written], [sort keys %want], 'in the journal');
is_deeply([sort keys %$told], [sort keys %want], 'in the control stream');
is_deeply([sort keys %{ recorded($api->{spool}, 'sent') }],
          [sort keys %want], 'what was given stands in the journal, too');

my $given = 0;

$given += ids(given($api, $client{$_}{token})) ne '' for @students;
is($given, 0, 'and nothing is given any more');

done_testing();
