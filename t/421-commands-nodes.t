# Commands over worker processes, nodes and restarts: what one has heard of, the
# others know, and nobody is given again what he has acknowledged (design,
# section 5).

use strict;
use warnings;

use lib 't/lib';

use Test::More;

use Exam;
use Exam::Api;
use Exam::Command;

Exam::allow_errors(qr/worker process \d+ exited on signal 9/);

my $code = $Exam::Api::Code;
my @students = map { sprintf 'S%03d', $_ } 1 .. 30;

Exam::load_exam('30', students => { map { $_ => { code => $code } }
                                        @students });

my $one = node_at('n1', workers => 2, exam_zone => 'exam:8m shards=2');
my $two = node_at('n2', exam_zone => 'exam:8m shards=3');
my %token = map { $_ => $one->login('30', $_)->{json}{token} } @students;

# Beats on new connections until as many worker processes have answered as
# there are, each at least once: it is the kernel that chooses.

sub everywhere {
    my ($api, $token) = @_;

    my @ids;

    for (1 .. 20) {
        delete $api->{sock};
        push @ids, ids(given($api, $token));
    }

    return @ids;
}

# ---- worker processes

my $id = command('30', students => ['S001']);

ok(wait_given($one, $token{S001}, $id), 'given');
is_deeply([grep { $_ ne $id } everywhere($one, $token{S001})], [],
          'by every worker process');
given($one, $token{S001}, $id);
is_deeply([grep { $_ ne '' } everywhere($one, $token{S001})], [],
          'acknowledged to one, known to the other');

# the process that reads the stream is killed: another one takes over

for my $n (1 .. 4) {
    my ($victim) = $one->nginx->workers;

    kill 'KILL', $victim;
    Exam::wait_for { !grep { $_ == $victim } $one->nginx->workers };
    $one->connected;

    my $next = command('30', students => ['S002']);

    ok(wait_given($one, $token{S002}, $next), "reader $n killed: it is given");
    given($one, $token{S002}, $next);
    ok(Exam::wait_for { reported('30', 'ack')->{"$next S002"} },
       "reader $n killed: and reported");
}

# ---- two nodes

$id = command('30', students => [qw(S003 S004)]);

ok(wait_given($one, $token{S003}, $id), 'two nodes: given at the first');
ok(wait_given($two, $token{S003}, $id), 'given at the second, too');
given($one, $token{S003}, $id);
ok(wait_given($two, $token{S003}, ''),
   'acknowledged at the first, known to the second');
ok(wait_given($two, $token{S004}, $id), 'the other student has it still');
given($two, $token{S004}, $id);
ok(wait_given($one, $token{S004}, ''), 'and the other way round');
is(reported('30', 'ack', 'n2')->{"$id S004"}, 1, 'told by the node that heard');
is(reported('30', 'ack', 'n1')->{"$id S004"}, undef, 'and by no other');

# ---- a session that this node has not seen before

my $all = command('30');

ok(wait_given($one, $token{$_}, $all), "to all: $_") for qw(S005 S006 S007);
given($one, $token{$_}, $all) for qw(S005 S006);
ok(Exam::wait_for { my $ack = reported('30', 'ack');
                    $ack->{"$all S005"} && $ack->{"$all S006"} },
   'two have run it');

# a command of their own tells when the round is over

my $mark = command('30', students => [qw(S005 S006 S007)]);

ok(wait_given($two, $token{S005}, $mark),
   'a token from elsewhere: not given what was acknowledged there');
ok(wait_given($two, $token{S007}, "$all $mark"), 'but what was not');

my $again = $two->login('30', 'S006')->{json}{token};

ok(wait_given($two, $again, $mark), 'a login: the same');

# never, not even before the round: each answer until then is empty

my @seen;

for my $student (@students[7 .. 17]) {
    given($one, $token{$student}, $all);
}

ok(Exam::wait_for { my $ack = reported('30', 'ack');
                    !grep { !$ack->{"$all $_"} } @students[7 .. 17] },
   'ten more have run it');

for my $student (@students[7 .. 17]) {
    my $login = $two->login('30', $student)->{json}{token};

    push @seen, map { ids(given($two, $login)) } 1 .. 5;
}

is_deeply([grep { $_ ne '' } @seen], [], 'no login was given it, at any time');

# ---- nginx is restarted: an empty zone

my @ports = ($one->nginx->{port}, $two->nginx->{port});

$id = command('30', students => ['S020']);
ok(wait_given($one, $token{S020}, "$all $id"), 'before a restart');
given($one, $token{S020}, $all);
ok(Exam::wait_for { reported('30', 'ack')->{"$all S020"} }, 'reported');

is($one->nginx->stop('QUIT'), 0, 'stopped');
$one = node_at('n1', workers => 2, exam_zone => 'exam:8m shards=2',
               port => $ports[0]);

@seen = ();

ok(Exam::wait_for {
    push @seen, ids(given($one, $token{S020}));
    $seen[-1] eq $id;
}, 'restarted: the one that was not acknowledged is given');
is_deeply([grep { $_ ne '' && $_ ne $id } @seen], [], 'and never the other');

my $cancelled = command('30');

control('30', op => 'cancel', id => $cancelled);
@seen = ();
$one->nginx->stop('QUIT');
$one = node_at('n1', workers => 2, exam_zone => 'exam:8m shards=2',
               port => $ports[0]);
ok(Exam::wait_for {
    push @seen, ids(given($one, $token{S020}));
    $seen[-1] eq $id;
}, 'restarted again');
is_deeply([grep { /\b$cancelled\b/ } @seen], [],
          'what was cancelled is not given, at any time');

# ---- killed: as a restart

kill 'KILL', $one->nginx->workers, $one->nginx->pid;
Exam::wait_for { !$one->nginx->running };
@seen = ();
$one = node_at('n1', workers => 2, exam_zone => 'exam:8m shards=2');
ok(Exam::wait_for {
    push @seen, ids(given($one, $token{S020}));
    $seen[-1] eq $id;
}, 'killed: it is given');
is_deeply([grep { $_ ne '' && $_ ne $id } @seen], [], 'and never the other');

# ---- reload: the zone stays

given($one, $token{S020}, $id);
$one->nginx->reload;
$one->connected;
is_deeply([grep { $_ ne '' } everywhere($one, $token{S020})], [],
          'reload: nothing is forgotten');

my $fresh = command('30', students => ['S020']);

ok(wait_given($one, $token{S020}, $fresh), 'reload: and the stream is read');

# ---- Redis is emptied and filled again: with the command, without the ack

$id = command('30', students => [qw(S021 S022)]);
ok(wait_given($one, $token{$_}, "$all $id"), "before Redis is emptied: $_")
    for qw(S021 S022);
given($one, $token{S021}, $all, $id);
ok(Exam::wait_for { reported('30', 'ack')->{"$id S021"} }, 'acknowledged');
Exam::redis_cmd('FLUSHALL');
ok(Exam::wait_for { ($one->metric('flush_errors_total') // 0) > 0 },
   'emptied: noticed');
is(ids(given($one, $token{S022})), "$all $id", 'emptied: known ones go on');
is(Exam::redis_cmd('EXISTS', 'exam:{30}:control'), 0,
   'emptied: no node begins a stream');

Exam::load_exam('30', students => { map { $_ => { code => $code } }
                                        @students });
command('30', id => $id, students => [qw(S021 S022)]);
ok(Exam::wait_for { reported('30', 'ack')->{"$id S021"} },
   'filled again: the acknowledgement is told again');
is(ids(given($one, $token{S021})), '', 'filled again: not given again');

my $cold = node_at('n3');

$mark = command('30', students => ['S021']);
ok(wait_given($cold, $token{S021}, $mark), 'not by another node either');

done_testing();
