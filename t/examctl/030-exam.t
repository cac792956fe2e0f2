# Exams from create to archive: what MySQL and Redis hold after each command,
# and what each state refuses.

use strict;
use warnings;

use lib 't/lib', 't/examctl/lib';

use Ctl;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);
use Time::Local qw(timegm);

stack();

sub now { return int(time * 1000) }

sub state_of {
    my ($exam) = @_;

    my ($row) = sql("SELECT state, starts_at, ends_at, pause_ms, paused_at, "
                    . "version FROM exams WHERE id = '$exam'");
    my $redis = member($exam);

    is_deeply([@$redis{qw(state starts_at ends_at pause_ms paused_at
                          version)}],
              $row, "  Redis has exam $exam as MySQL has it");

    return $redis;
}

sub active { return join ' ', sort @{ redis('SMEMBERS', 'exam:active') } }


# ---- create

{
    my $before = now();

    ok_ctl('exam', 'create', 30, '--title', "Pr\xc3\xbcfung \"A\"");

    my $e = state_of(30);

    is($e->{state}, 'draft', 'a new exam is a draft');
    is($e->{title}, "Pr\xc3\xbcfung \"A\"", 'its title');
    cmp_ok($e->{starts_at}, '>=', $before, 'it starts now');
    is($e->{ends_at} - $e->{starts_at}, 3 * 3600_000, 'and takes 3 hours');
    is(active(), '', 'nodes do not serve it yet');
    ok(redis('HEXISTS', key(30, 'roster'), '_v'), 'its roster is there, empty');

    fails(4, qr/exam "30" exists already/, 'exam', 'create', 30, '--title',
          'again');
    is(state_of(30)->{title}, "Pr\xc3\xbcfung \"A\"", 'nothing was changed');
}

my @times = (
    # starts, ends, expected
    ['2030-01-31T08:00Z', '+90m', timegm(0, 0, 8, 31, 0, 2030), 90 * 60],
    ['2030-01-31 08:00:30.250+08:00', '+2d', timegm(30, 0, 0, 31, 0, 2030),
     2 * 86400, 250],
    ['2028-02-29T10:00-0130', '2028-02-29T12:00Z',
     timegm(0, 30, 11, 29, 1, 2028), 1800],
    ['2030-07-01T12:00', '+20s',
     POSIX::mktime(0, 0, 12, 1, 6, 130, 0, 0, -1), 20],
);

for my $i (0 .. $#times) {
    my ($starts, $ends, $at, $length, $ms) = @{ $times[$i] };
    my $exam = "t$i";

    ok_ctl('exam', 'create', $exam, '--title', 'x', '--starts', $starts,
           '--ends', $ends);

    my $e = state_of($exam);

    is($e->{starts_at}, $at * 1000 + ($ms // 0), "$starts");
    is($e->{ends_at} - $e->{starts_at}, $length * 1000, "$ends");
}

ok_ctl('exam', 'create', 'x' x 32, '--title', "\xc3\xbc" x 255);
is(length state_of('x' x 32)->{title}, 510, '255 characters, 32 bytes of id');


# ---- open, pause, resume, close, open again, archive

fails(3, qr/no exam "99"/, 'exam', $_, 99)
    for qw(open pause resume close archive show);

fails(4, qr/is draft and cannot be paused/, 'exam', 'pause', 30);
fails(4, qr/is not paused/, 'exam', 'resume', 30);
fails(4, qr/is draft and cannot be closed/, 'exam', 'close', 30);

# what was lost in Redis is there again when open returns
redis('DEL', key(30, 'roster'));

ok_ctl('exam', 'open', 30);
is(state_of(30)->{state}, 'open', 'open');
is(active(), '30', 'nodes serve it');
ok(redis('HEXISTS', key(30, 'roster'), '_v'), 'the roster is in Redis');

fails(4, qr/is open and cannot be archived/, 'exam', 'archive', 30);

my $version = state_of(30)->{version};

ok_ctl('exam', 'open', 30);
cmp_ok(state_of(30)->{version}, '>', $version,
       'open again: the version rises');

# by the clock, but by one at least where the clock was put back
sql("UPDATE exams SET version = 9000000000000 WHERE id = '30'");

ok_ctl('exam', 'pause', 30);
is(state_of(30)->{version}, 9000000000001, 'also when it lies in the future');
cmp_ok(abs(state_of(30)->{paused_at} - now()), '<', 5000, 'paused now');
fails(4, qr/is paused already/, 'exam', 'pause', 30);

wait_for { now() > member(30)->{paused_at} + 20 };
my $pause = now() - member(30)->{paused_at};

ok_ctl('exam', 'resume', 30);
is(state_of(30)->{paused_at}, 0, 'resumed');
cmp_ok(state_of(30)->{pause_ms}, '>=', $pause, 'the pause counts');

ok_ctl('exam', 'pause', 30);
ok_ctl('exam', 'resume', 30);
cmp_ok(state_of(30)->{pause_ms}, '>=', $pause, 'pauses add up');

ok_ctl('exam', 'pause', 30);
ok_ctl('exam', 'close', 30);
is(state_of(30)->{state}, 'closed', 'closed');
is(state_of(30)->{paused_at}, 0, 'closing ends a pause');
is(active(), '30', 'nodes still take late uploads');
fails(4, qr/exam "30" is closed already/, 'exam', 'close', 30);
fails(4, qr/is closed and cannot be paused/, 'exam', 'pause', 30);

ok_ctl('exam', 'open', 30);
is(state_of(30)->{state}, 'open', 'opened again');

# past its end: a new one is needed, and counts from now
sql('UPDATE exams SET ends_at = 1000000, starts_at = 0, version = version + 1');

fails(4, qr/end of exam "30" has passed.*--ends/, 'exam', 'open', 30);
is(value("SELECT ends_at FROM exams WHERE id = '30'"), 1000000,
   'nothing was changed');

ok_ctl('exam', 'open', 30, '--ends', '+2h');
{
    my $e = state_of(30);

    cmp_ok(abs($e->{ends_at} - now() - 7200_000), '<', 5000, 'a new end');
    is($e->{pause_ms}, 0, 'to which earlier pauses are not added');
}

ok_ctl('exam', 'pause', 30);
sql("UPDATE exams SET paused_at = paused_at - 600000 WHERE id = '30'");
ok_ctl('exam', 'open', 30, '--ends', '+1h');
cmp_ok(abs(state_of(30)->{paused_at} - now()), '<', 5000,
       'nor is a running pause until now');
ok_ctl('exam', 'resume', 30);

ok_ctl('exam', 'close', 30);
ok_ctl('exam', 'archive', 30);
is(state_of(30)->{state}, 'archived', 'archived');
is(active(), '', 'nodes do not serve it any more');
ok(redis('EXISTS', key(30, 'roster')), 'its keys stay');

fails(4, qr/is archived and cannot be $_->[1]/, 'exam', $_->[0], 30)
    for [open => 'opened'], [close => 'closed'];
fails(4, qr/exam "30" is archived already/, 'exam', 'archive', 30);

ok_ctl('exam', 'archive', 't0');
is(state_of('t0')->{state}, 'archived', 'a draft can be archived');


# ---- ids differ in case

ok_ctl('exam', 'create', 'Abc', '--title', 'upper');
ok_ctl('exam', 'create', 'abc', '--title', 'lower');
is(state_of('Abc')->{title}, 'upper', 'ids are case-sensitive');
is(state_of('abc')->{title}, 'lower', 'both ways');


# ---- show and list

{
    my $e = json_ctl('exam', 'show', 'Abc');

    is_deeply([@$e{qw(id state title students recordings pause_ms paused_at)}],
              ['Abc', 'draft', 'upper', 0, 0, 0, 0], 'show --json');
    is($e->{ends_at}, member('Abc')->{ends_at}, '  times are milliseconds');

    like(ok_ctl('exam', 'show', 'Abc'), qr/^state +draft$/m, 'show as text');

    my $all = json_ctl('exam', 'list');

    is_deeply([sort map { $_->{id} } @{ $all->{exams} }],
              [sort 30, 'Abc', 'abc', 't0' .. 't3', 'x' x 32], 'list --json');

    my @lines = split /\n/, ok_ctl('exam', 'list');
    is(@lines, 9, 'list as text: a heading and a line each');

    fails(3, qr/no exam "nope"/, 'exam', 'show', 'nope', '--json');
    is(ctl('exam', 'list', { stdout => '/dev/full' })->{rc}, 1,
       'a listing that cannot be written is a failure');
}


# ---- the audit log

is_deeply([map { $_->[0] } sql("SELECT action FROM audit_log WHERE exam = '30' "
                               . "ORDER BY id LIMIT 5")],
          [qw(exam.create exam.open exam.open exam.pause exam.resume)],
          'changes are in the audit log');
is(value("SELECT COUNT(*) FROM audit_log WHERE actor NOT LIKE 'examctl:_%' "
       . "OR at < 1700000000000"), 0, 'with who and when');

done_testing();
