# A second login of the same student: which session stands, on one process, on
# another process of the node, on another node, and on one that never heard of
# either (design, section 4: generation, exam_takeover).

use strict;
use warnings;

use lib 't/lib';

use JSON::PP ();
use Test::More;

use Exam;
use Exam::Api qw(is_problem claims_of session);

my $code = $Exam::Api::Code;
my %students = map { $_ => { code => $code } }
               map { sprintf 'S%03d', $_ } 1 .. 60;

Exam::load_exam('30', students => \%students);

sub node {
    my ($name, %change) = @_;

    my $spool = Exam::dir() . "/spool-$name";
    mkdir $spool;

    my $workers = delete $change{workers} // 1;

    return Exam::Api->new(Exam::server(workers => $workers,
        http => Exam::http_lines(exam_node => $name, exam_spool => $spool,
                                 exam_heartbeat_rate => '0',
                                 exam_poll_rate => '0', %change)));
}

my $one = node('n1', workers => 2);
my $two = node('n2');

# ---- takeover, the default

my $first = $one->login('30', 'S001')->{json};
is($one->beat($first->{token})->{status}, 200, 'the first session beats');

my $second = $one->login('30', 'S001')->{json};
is($one->beat($second->{token})->{status}, 200, 'the second one takes over');

my $res = $one->beat($first->{token});
is_problem($res, 403, 'session_ended', 'the first has ended, at once');
is($res->{json}{reason}, 'replaced', 'replaced');
is($one->me($first->{token})->{json}{ended}, 'replaced', 'me says so');
is(session('30', 'S001')->{sid}, $second->{session}, 'Redis has the second');
cmp_ok($second->{gen}, '>', $first->{gen}, 'of a higher generation');

# every worker process of the node sees it: they share the zone

my %answers;

for (1 .. 30) {
    delete $one->{sock};
    $answers{ $one->beat($first->{token})->{status} }++;
    delete $one->{sock};
    $answers{ $one->beat($second->{token})->{status} }++;
}

is_deeply(\%answers, { 403 => 30, 200 => 30 }, 'the same in both processes');

# ---- the other node: it learns with its next flush

$first = $one->login('30', 'S002')->{json};
is($one->beat($first->{token})->{status}, 200, 'logged in on one node');
is($two->beat($first->{token})->{status}, 200,
   'a node that never heard of it takes its token');
$second = $two->login('30', 'S002')->{json};
$res = $two->beat($first->{token});
is($res->{json}{reason}, 'replaced', 'the node of the second login knows');
ok(Exam::wait_for {
    my $json = $one->beat($first->{token})->{json};
    ($json->{reason} // '') eq 'replaced';
}, 'the first node learns it by its flush');
is($two->beat($second->{token})->{status}, 200, 'the second session goes on');
is($one->beat($second->{token})->{status}, 200, 'on the first node, too');
is(session('30', 'S002')->{sid}, $second->{session}, 'Redis has the second');
is(session('30', 'S002')->{ended}, '', 'and it has not ended');

# a late word of the first session changes nothing any more

my $changes = Exam::redis_cmd('XLEN', 'exam:{30}:changes');
my $at = Exam::now_ms();
$one->beat($first->{token});
$one->beat($second->{token});
$one->flushed('30', 'S002', $at);
is(session('30', 'S002')->{sid}, $second->{session}, 'nor does a later beat');
is(Exam::redis_cmd('XLEN', 'exam:{30}:changes'), $changes,
   'it is no visible change');

# ---- cold: only tokens, the older one first or last

for my $case (['S003', 1, 2], ['S004', 2, 1]) {
    my ($student, @order) = @$case;

    my %token = map {
        ($_ => Exam::token(exam => '30', student => $student, gen => $_,
                           sid => Exam::sid('30', $student, $_)))
    } @order;

    $one->beat($token{$_}) for @order;
    is($one->beat($token{2})->{status}, 200,
       "gen @order: the higher generation stands");
    is($one->beat($token{1})->{json}{reason}, 'replaced',
       "gen @order: the lower is replaced");
    ok(Exam::wait_for {
        my $s = session('30', $student);
        $s && $s->{gen} == 2;
    }, "gen @order: Redis has the higher");
}

# nodes that did not see each other: both in their zones, Redis merges

my %token = map {
    ($_ => Exam::token(exam => '30', student => 'S005', gen => $_,
                       sid => Exam::sid('30', 'S005', $_)))
} 1, 2;

is($two->beat($token{2})->{status}, 200, 'the higher one on another node');
is($one->beat($token{1})->{status}, 200, 'one 200 too many is allowed');
ok(Exam::wait_for {
    ($one->beat($token{1})->{json}{reason} // '') eq 'replaced';
}, 'then the flush has told');
is($two->beat($token{2})->{status}, 200, 'the higher one stands');

# ---- a logout on another node ends it here

$first = $one->login('30', 'S006')->{json};
is($one->beat($first->{token})->{status}, 200, 'a session of the first node');
is($two->logout($first->{token})->{status}, 200, 'logs out on the second');
is($two->beat($first->{token})->{json}{reason}, 'logout', 'ended there');
ok(Exam::wait_for {
    ($one->beat($first->{token})->{json}{reason} // '') eq 'logout';
}, 'and here with the next flush');
is(session('30', 'S006')->{ended}, 'logout', 'Redis keeps the reason');

# ---- gen goes beyond what this node knows, though Redis has lost it

my $high = Exam::now_ms() + 1e9;
$one->beat(Exam::token(exam => '30', student => 'S007', gen => $high));
Exam::redis_cmd('HDEL', 'exam:{30}:sessions', 'S007');
$second = $one->login('30', 'S007')->{json};
is($second->{gen}, $high + 1, 'above the highest generation of the node');
is($one->beat($second->{token})->{status}, 200, 'the new session stands');

# ---- deny

my $deny = node('n3', exam_takeover => 'deny', exam_offline_after => '90s');

$first = $deny->login('30', 'S010')->{json};
isnt($first->{token}, undef, 'deny: a first login');
is_problem($deny->login('30', 'S010'), 409, 'already_logged_in',
           'deny: no second one, a login is as good as a beat');
is_problem($deny->login('30', 'S010', '1' x 16), 401, 'invalid_credentials',
           'deny: a stranger does not learn that');
is($deny->beat($first->{token})->{status}, 200, 'deny: the first goes on');
is_problem($deny->login('30', 'S010'), 409, 'already_logged_in',
           'deny: nor after a beat');
is($deny->logout($first->{token})->{status}, 200, 'deny: it logs out');
is($deny->login('30', 'S010')->{status}, 200, 'deny: then a login is let in');

# a session that was not heard of for long does not hold the place

my $past = Exam::now_ms() - 100_000;

sub away {
    my ($student, $login_at, $seen) = @_;

    Exam::redis_cmd('HSET', 'exam:{30}:sessions', $student,
        JSON::PP->new->encode({ sid => 'a' x 32, gen => 1, node => 'n9',
                                ip => '', login_at => $login_at,
                                ended => '' }));
    Exam::redis_cmd('ZADD', 'exam:{30}:seen', $seen, $student) if $seen;
    return $deny->login('30', $student);
}

is(away('S011', $past)->{status}, 200, 'deny: a login long ago, no beat');
is(away('S012', $past, $past + 5)->{status}, 200, 'deny: a beat long ago');
is_problem(away('S013', $past, Exam::now_ms()), 409, 'already_logged_in',
           'deny: a beat of late');
is_problem(away('S014', Exam::now_ms(), $past), 409, 'already_logged_in',
           'deny: an earlier session\'s beat is not this one\'s');

# staff frees it

Exam::redis_cmd('HSET', 'exam:{30}:sessions', 'S013',
    JSON::PP->new->encode({ %{ session('30', 'S013') }, ended => 'forced' }));
is($deny->login('30', 'S013')->{status}, 200, 'deny: staff can free it');

# a second process, of another node, is refused as well

my $fourth = node('n4', exam_takeover => 'deny', exam_offline_after => '1s');
$first = $deny->login('30', 'S015')->{json};
$deny->beat($first->{token});
is_problem($fourth->login('30', 'S015'), 409, 'already_logged_in',
           'deny: from another node, too');
ok(Exam::wait_for { $fourth->login('30', 'S015')->{status} == 200 },
   'deny: until exam_offline_after is over');

# ---- many at once: each student has one session that stands

my @students = map { sprintf 'S%03d', $_ } 20 .. 60;
my %last;

for my $round (1 .. 3) {
    for my $student (@students) {
        my $node = $round % 2 ? $one : $two;
        my $json = $node->login('30', $student)->{json};
        push @{ $last{$student} }, $json->{token};
        $node->beat($json->{token});
    }
}

ok(Exam::wait_for {
    !grep { my $student = $_; my @t = @{ $last{$student} };
            grep { $one->beat($_)->{status} != ($_ eq $t[2] ? 200 : 403)
                   || $two->beat($_)->{status} != ($_ eq $t[2] ? 200 : 403) }
            @t } @students
}, 'three logins each, by turns: the last one stands on both nodes');

done_testing();
