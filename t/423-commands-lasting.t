# Lasting effects are state, not commands: locked, paused, own end and finish
# stand in login, heartbeat and me, and nothing escapes them (design, section 4).

use strict;
use warnings;

use lib 't/lib';

use JSON::PP ();
use Test::More;

use Exam;
use Exam::Api;
use Exam::Command;

Exam::allow_errors(qr/worker process \d+ exited on signal 9/);

my $code = $Exam::Api::Code;
my @students = map { sprintf 'S%03d', $_ } 1 .. 12;
my $end = Exam::now_ms() + 3_600_000;
my %flags;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);

sub load {
    Exam::load_exam('30', ends_at => $end, @_, students => {
        map { $_ => { code => $code, flags => $flags{$_} } } @students });
}

load();

# One shard a process and no flush but at the tick: a session that is clean hears
# of nothing unless the control stream says so.

my @node = (workers => 2, exam_zone => 'exam:8m shards=3');
my $api = node_at('n1', @node);
my %token = map { $_ => $api->logged_in('30', $_)->{token} } @students;

# As service/ does it: flags first, then the command.

sub effect {
    my ($student, $type, %change) = @_;

    %{ $flags{$student} //= {} } = (%{ $flags{$student} // {} }, %change);

    Exam::redis_cmd('HSET', 'exam:{30}:flags', $student,
        JSON::PP->new->canonical->encode({
            suspended => $false, locked => $false, paused => $false,
            extra_s => 0, finish => $false, %{ $flags{$student} } }));

    return command('30', type => $type, students => [$student]);
}

sub status {
    my ($json) = @_;

    return join ' ', (map { my $v = $json->{status}{$_};
                            defined $v ? $v ? $_ : () : "$_?" }
                          qw(locked paused closed)),
        map { sprintf '%+d', $_ } grep { $_ }
            defined $json->{ends_at} ? ($json->{ends_at} - $end) / 1000 : ();
}

# In all answers that have it; `me` does not beat.

sub shown {
    my ($student, $want, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($beat, $me) = ('', '');

    Exam::wait_for {
        $me = status($api->me($token{$student})->{json});
        return $me eq $want;
    };
    $beat = status($api->beat($token{$student})->{json});

    is("$beat, $me", "$want, $want", "$name: heartbeat and me");

    $token{$student} = $api->login('30', $student)->{json}{token};

    my $login = $api->login('30', $student)->{json};

    is(status($login), $want, "$name: login");
    $token{$student} = $login->{token};
}

# no more beats: what is clean stays clean

Exam::wait_for { !grep { !$_ } map { $api->me($token{$_})->{json}{ends_at} }
                               @students };
is(status($api->me($token{S001})->{json}), '', 'nothing yet');

# ---- each of them

effect('S001', 'lock', locked => $true);
shown('S001', 'locked', 'lock');
effect('S001', 'unlock', locked => $false);
shown('S001', '', 'unlock');
effect('S002', 'pause', paused => $true);
shown('S002', 'paused', 'pause');
effect('S002', 'resume', paused => $false);
shown('S002', '', 'resume');
effect('S003', 'extra_time', extra_s => 600);
shown('S003', '+600', 'extra time');
effect('S004', 'finish', finish => $true);

ok(Exam::wait_for { status($api->me($token{S004})->{json}) eq 'closed' },
   'finish: me');
is(status($api->beat($token{S004})->{json}), 'closed', 'finish: heartbeat');
is($api->beat($token{S004})->{status}, 200, 'finish: which goes on');
is(status($api->login('30', 'S004')->{json}), 'closed', 'finish: login');
is(status($api->me($token{S005})->{json}), '', 'others are as before');

# all of them, without a command: op exam

$flags{$_}{locked} = $true for @students[6 .. 9];
load(paused_at => Exam::now_ms() - 60_000);
control('30', op => 'exam');

ok(Exam::wait_for { status($api->me($token{$_})->{json}) =~ /^locked paused/ },
   "exam: $_") for @students[6 .. 9];
ok(Exam::wait_for { status($api->me($token{S006})->{json})
                    =~ /^paused \+(6\d|7\d)$/ }, 'exam: paused for all');
load();
control('30', op => 'exam', student => 'S006');
ok(Exam::wait_for { status($api->me($token{S006})->{json}) eq '' },
   'exam: of one student');
control('30', op => 'exam');

# a command to all

$flags{$_}{extra_s} = 300 for @students;
load();
command('30', type => 'extra_time', payload => { seconds => 300 });
ok(Exam::wait_for { status($api->me($token{$_})->{json}) =~ /\+300$/ },
   "to all: $_") for @students[4, 5, 8, 11];

# op end

my $old = Exam::Api::session('30', 'S010');

Exam::redis_cmd('HSET', 'exam:{30}:sessions', 'S010',
    JSON::PP->new->canonical->encode({ %$old, ended => 'forced' }));
control('30', op => 'end', student => 'S010', session => $old->{sid},
        reason => 'forced');
ok(Exam::wait_for { ($api->me($token{S010})->{json}{ended} // '')
                    eq 'forced' }, 'end: the session has ended');
is($api->beat($token{S010})->{json}{reason}, 'forced', 'end: by force');

# ---- nothing escapes a lock

effect('S001', 'lock', locked => $true);
shown('S001', 'locked +300', 'locked');

my @seen;

# Until the answer is known: locked, or not known, never unlocked.

sub locked {
    my ($name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    @seen = ();

    ok(Exam::wait_for {
        my $res = $api->beat($token{S001});

        return if $res->{status} != 200;
        push @seen, $res->{json}{status}{locked};
        return $seen[-1];
    }, "$name: locked");
    is(scalar(grep { defined && !$_ } @seen), 0, "$name: at no time unlocked");
    is(status($api->login('30', 'S001')->{json}), 'locked +300',
       "$name: a new login, too");
    $token{S001} = $api->login('30', 'S001')->{json}{token};
}

locked('again');
$api->nginx->reload;
$api->connected;
locked('reload');
is($seen[0], $true, 'reload: in the first answer');

for my $n (1 .. 2) {
    kill 'KILL', ($api->nginx->workers)[0];
    $api->connected;
    locked("worker process killed $n");
    is($seen[0], $true, 'in the first answer');
}

my $port = $api->nginx->{port};

$api->nginx->stop('QUIT');
$api = node_at('n1', @node, port => $port);
locked('nginx restarted');

kill 'KILL', $api->nginx->pid, $api->nginx->workers;
Exam::wait_for { !$api->nginx->running };
$api = node_at('n1', @node);
locked('nginx killed');

my $errors = $api->metric('flush_errors_total');

Exam::redis_cmd('FLUSHALL');
ok(Exam::wait_for { $api->beat($token{S001});
                    $api->metric('flush_errors_total') > $errors },
   'Redis is emptied');
is(status($api->beat($token{S001})->{json}), 'locked +300',
   'emptied: locked it stays');
load();
locked('filled again');
is($seen[0], $true, 'in the first answer');

# a node that has never heard of anything, with Redis away

Exam::redis()->stop('KILL');

my $cold = node_at('n2', redis => 0);
my $status = $cold->beat($token{S001})->{json}{status};

is_deeply($status, { locked => undef, paused => undef, closed => undef },
          'Redis away and nothing known: not denied either');
is_deeply($cold->me($token{S001})->{json}{status}, $status, 'nor in me');

done_testing();
