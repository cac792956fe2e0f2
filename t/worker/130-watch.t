# The presence watch: late, offline and back, once, by one worker; and nobody
# because Redis, a node or a worker was away.  Intervals are short: late after
# 1.5 s, offline after 3.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Test::More;
use Time::HiRes qw(time);
use Spool;

my %short = (worker => { heartbeat_s => 1, offline_s => 3, probe => 'off' });

stack(redis => { aof => 1, args => ['--appendfsync', 'always'] });
ini_with(%short);

my $mysql = $Spool::Mysql;
my $hour = Exam::now_ms() - 3_600_000;
my %beats;                      # students who beat
my %nodes = (t1 => 1);          # nodes that live
my $last = '0-0';


# What nodes would write, as long as we wait.

sub nodes_work {
    my $now = Exam::now_ms();

    eval {
        redis('ZADD', 'exam:{30}:seen', 'GT', map { ($now, $_) } keys %beats)
            if %beats;
        redis('HSET', "exam:node:$_", now => $now, flushed_at => $now,
              started_at => 1) for keys %nodes;
    };
}


sub during(&;$) {
    my ($code, $seconds) = @_;

    return wait_for { nodes_work(); $code->() } $seconds // 15;
}


sub login {
    my ($student, %opt) = @_;

    my $sid = sid($student, $opt{n});

    redis('HSET', 'exam:{30}:sessions', $student, sprintf
        '{"sid":"%s","gen":%d,"node":"%s","ip":"","login_at":%d,"ended":"%s"}',
        $sid, $opt{n} // 1, $opt{node} // 't1', $opt{login_at} // $hour,
        $opt{ended} // '');
    redis('XADD', 'exam:{30}:changes', '*', 'type', 'session', 'student',
          $student, 'sid', $sid, 'gen', 1, 'node', 't1', 'ended',
          $opt{ended} // '');
    $beats{$student} = 1 if $opt{beats};
}


# What was declared since the last time, or of one student: "S1 late candidate".

sub declared {
    my ($student) = @_;

    my @all = map { +{ @{ $_->[1] } } }
        @{ redis('XRANGE', 'exam:{30}:changes', "($last", '+') };

    return map { "$_->{student} $_->{state} $_->{cause}" }
        grep { $_->{type} eq 'presence'
               && (!defined $student || $_->{student} eq $student) } @all;
}


sub newest { return (declared(@_))[-1] // '' }

sub forget {
    my $entries = redis('XREVRANGE', 'exam:{30}:changes', '+', '-', 'COUNT', 1);
    $last = $entries->[0][0] if @$entries;
}


sub view {
    my ($student, $n) = @_;

    my ($row) = $mysql->sql('SELECT view, view_at FROM presence WHERE session'
                            . " = '" . sid($student, $n) . "'");
    return $row ? $row->[0] : '';
}


sub watches {
    my ($node) = @_;
    return (redis('GET', 'exam:{30}:watch') // '') =~ /^$node-/;
}


# ---- one that beats, one that stops, one that never did

start_worker();

{
    ok((during { redis('EXISTS', 'exam:loaded') && watches('t1') }),
       'the worker takes the watch');

    login('A1', beats => 1);
    login('B1', beats => 1);
    login('C1', login_at => Exam::now_ms());
    login('D1', beats => 1);
    login('E1', ended => 'logout');

    ok((during { redis('ZCARD', 'exam:{30}:seen') == 3 }), 'candidates');
    my $seen = time;
    during { time > $seen + 1.2 };
    is_deeply([grep !/^C1/, declared()], [], 'who beats is not declared');

    # D1 leaves in order, B1 falls silent
    delete @beats{qw(B1 D1)};
    login('D1', ended => 'logout');

    ok((during { declared('B1') == 2 && declared('C1') == 2 }),
       'silence is declared');
    is_deeply([declared('B1')], ['B1 late candidate', 'B1 offline candidate'],
              'late, then offline');
    is_deeply([declared('C1')], ['C1 late candidate', 'C1 offline candidate'],
              'after the login, too, when no beat came');
    is_deeply([grep /^[ADE]/, declared()], [], 'nobody else');
    ok((during { view('B1') eq 'offline' }), 'MySQL knows it');

    my $entry = (grep { $_->{type} eq 'presence' && $_->{student} eq 'B1' }
                 map { +{ @{ $_->[1] } } }
                 @{ redis('XRANGE', 'exam:{30}:changes', '-', '+') })[-1];
    is($entry->{sid}, sid('B1'), 'the entry names the session');
    cmp_ok(abs($entry->{at} - Exam::now_ms()), '<', 60_000, 'and the time');

    $beats{B1} = 1;
    ok((during { newest('B1') eq 'B1 online candidate' }),
       'a beat brings it back');
    ok((during { view('B1') eq 'online' }), 'in MySQL, too');
    is(scalar(declared('B1')), 3, 'each change once');
}


# ---- a new login is another session

{
    forget();
    delete $beats{B1};
    ok((during { declared('B1') == 2 }), 'offline again');
    login('B1', n => 2, login_at => Exam::now_ms(), beats => 1);
    during { view('B1', 1) eq 'offline' };
    my $then = time;
    during { time > $then + 2.5 };
    is(scalar(declared('B1')), 2, 'a new session begins online');
    delete $beats{B1};
    ok((during { declared('B1') == 4 }), 'and becomes late by itself');
    ok((during { view('B1', 2) eq 'offline' }), 'under its own id');
    $beats{B1} = 1;
    during { newest('B1') =~ /online/ };
}


# ---- a node that dies

{
    forget();
    login('N1', node => 't9', beats => 1);
    login('N2', node => 't9', beats => 1);
    $nodes{t9} = 1;
    my $then = time;
    during { time > $then + 1.5 };

    # N2 goes on, by another node
    delete $nodes{t9};
    delete $beats{N1};
    redis('DEL', 'exam:node:t9');
    my $dead = time;

    ok((during { declared('N1') }), 'a node is gone');
    cmp_ok(time - $dead, '>=', 2.5, 'nobody is declared at once');
    is_deeply([declared()], ['N1 offline node'],
              'then its students are offline, by its fault, never late');

    $nodes{t9} = 1;
    $beats{N1} = 1;
    ok((during { newest('N1') eq 'N1 online candidate' }),
       'they come back with it');
}


# ---- a node that restarts: before that nobody could speak to it

{
    forget();
    my $born = Exam::now_ms() + 2000;
    delete $beats{N1};
    delete $nodes{t9};

    # it stands still, then it is there and has nothing to tell
    wait_for { delete local $nodes{t9}; nodes_work(); Exam::now_ms() >= $born };

    for (1 .. 50) {
        my $now = Exam::now_ms();
        redis('HSET', 'exam:node:t9', now => $now, flushed_at => $now,
              started_at => $born);
        nodes_work();
        select undef, undef, undef, 0.02;
    }

    is_deeply([declared('N1')], [], 'a node that restarts');
    $beats{N1} = 1;
    $nodes{t9} = 1;
}


# ---- a node that lives, and cannot tell who was there

{
    forget();
    my $then = time;
    during { time > $then + 1 };

    my $told = Exam::now_ms();
    delete $beats{N1};
    delete $nodes{t9};
    $then = time;

    during {
        redis('HSET', 'exam:node:t9', now => Exam::now_ms(),
              flushed_at => $told, started_at => 1);
        time > $then + 4;
    };
    is_deeply([declared()], [], 'what a node has not flushed is no silence');
    $beats{N1} = 1;
    $nodes{t9} = 1;
}


# ---- two workers, one lease

my $second = Exam::dir() . '/second.ini';
my ($first, $other);

{
    my $text = Exam::slurp(Exam::dir() . '/exam.ini');

    mkdir Exam::dir() . "/$_" for qw(spool2 recordings2);
    $text =~ s/^name = t1/name = t2/m;
    $text =~ s{/(spool|recordings)$}{/${1}2}mg;
    $text =~ s{/worker\.(log|pid)$}{/worker2.$1}mg;
    Exam::Process::spew($second, $text);

    $first = $Spool::Worker;
    $other = Exam::Process->worker($second);

    # who never beat has no row in MySQL that would tell the heir
    login('C1', ended => 'forced');
    forget();
    delete $beats{$_} for qw(A1 B1);
    ok((during { declared('A1') == 2 && declared('B1') == 2 }),
       'two workers');
    my $then = time;
    during { time > $then + 1.5 };
    is_deeply([sort(declared())],
              ['A1 late candidate', 'A1 offline candidate',
               'B1 late candidate', 'B1 offline candidate'],
              'each change is declared once');
    ok((during { view('A1') eq 'offline' && view('B1', 2) eq 'offline' }),
       'and written');

    # the one with the lease dies
    redis('DEL', 'exam:{30}:control');
    redis('XADD', 'exam:{30}:control', '1000-1', 'op', 'roster');
    my $kept = redis('XADD', 'exam:{30}:control', '*', 'op', 'exam');
    forget();
    my ($holder, $heir) = watches('t1') ? ($first, 't2') : ($other, 't1');
    $holder->stop('KILL');
    ok((during { watches($heir) } 30), 'the other one takes the lease');
    delete $beats{N1};
    ok((during { declared('N1') == 2 }), 'and goes on');
    $then = time;
    during { time > $then + 1.5 };
    is_deeply([declared()], ['N1 late candidate', 'N1 offline candidate'],
              'it knows what was declared before');
    is(redis('XRANGE', 'exam:{30}:control', '-', '+')->[0][0], $kept,
       'what is older than a day left the control stream');

    $beats{$_} = 1 for qw(A1 B1 N1);
    ok((during { 3 == grep { newest($_) =~ /online/ } qw(A1 B1 N1) }),
       'who is back is back');
    $_->running && $_->stop for $first, $other;
    ok(!redis('EXISTS', 'exam:{30}:watch'), 'who leaves gives the lease up');
}


# ---- Redis restarts; the nodes have not flushed yet

{
    start_worker();
    ok((during { watches('t1') }), 'one worker again');
    my $then = time;
    during { time > $then + 2 };
    forget();

    $Spool::Redis->stop;
    $then = time;
    wait_for { time > $then + 4 };
    $Spool::Redis = Exam::Process->redis(aof => 1,
                                         args => ['--appendfsync', 'always']);

    # a hash that was written before
    redis('HSET', 'exam:node:t1', now => Exam::now_ms() - 4000,
          flushed_at => Exam::now_ms() - 4000);
    ok((wait_for { watches('t1') && (figures()->{watched_exams} // 0) == 1 }),
       'Redis was away');
    $then = time;
    wait_for { time > $then + 2 };
    is_deeply([declared()], [], 'nobody is late by that');
    during { time > $then + 5 };
    is_deeply([declared()], [], 'nor when the nodes have flushed');
    delete $beats{A1};
    ok((during { declared('A1') == 2 }), 'but who is silent then');
    $beats{A1} = 1;
    during { newest('A1') =~ /online/ };
}


# ---- Redis is emptied: beats and sessions come with the flush of the nodes

{
    redis('FLUSHALL');
    $last = '0-0';
    ok((wait_for { redis('EXISTS', 'exam:loaded') && watches('t1') }),
       'Redis was emptied');

    # what a node wrote just before
    redis('HSET', 'exam:node:t1', now => Exam::now_ms(),
          flushed_at => Exam::now_ms() - 3000);
    login($_) for qw(A1 B1);
    my $then = time;
    wait_for { time > $then + 2 };
    is_deeply([declared()], [], 'nobody is late before the nodes have told');
    during { time > $then + 5 };
    is_deeply([declared()], [], 'nor after it');
}


# ---- the machine stood still, and the worker is the first to go on

{
    $Spool::Worker->running;
    kill 'STOP', $Spool::Worker->pid;
    my $then = time;
    wait_for { time > $then + 6 };
    redis('DEL', map { "exam:node:$_" } keys %nodes);
    kill 'CONT', $Spool::Worker->pid;
    ok((wait_for { worker_log() =~ /warn watch was stopped for \d+ ms/ }),
       'a worker that was stopped notices');
    $then = time;
    wait_for { time > $then + 1 };
    is_deeply([declared()], [], 'and declares nobody for it');
    during { time > $then + 3 };
    is_deeply([declared()], [], 'nor later');
}


# ---- MySQL away

{
    forget();
    $mysql->stop;
    delete $beats{A1};
    ok((during { declared('A1') == 2 } 30), 'without MySQL the watch goes on');
    $mysql = $Spool::Mysql = Exam::Process->mysql;
    ok((during { view('A1') eq 'offline' } 40), 'views are written later');
}


# ---- exams that end

{
    my $now = Exam::now_ms();
    my $state = sub {
        my ($row) = $mysql->sql("SELECT state FROM exams WHERE id = '$_[0]'");
        return $row->[0];
    };

    $mysql->sql("INSERT INTO exams (id, title, state, starts_at, ends_at,"
        . " pause_ms, paused_at, version, created_at) VALUES"
        . " ('31', 'T', 'open', 1, $now + 1000, 1000, 0, $now, 1),"
        . " ('32', 'T', 'open', 1, $now - 9000, 0, $now - 9500, $now, 1),"
        . " ('33', 'T', 'open', 1, $now - 9000, 0, 0, $now, 1),"
        . " ('34', 'T', 'open', 1, 0, 0, 0, $now, 1)");
    $mysql->sql("INSERT INTO students (exam, student, name, code_sha256,"
        . " extra_s, paused, created_at) VALUES"
        . " ('31', 'S1', '', '', 0, 0, 1), ('31', 'S2', '', '', 6, 0, 1),"
        . " ('33', 'S1', '', '', 0, 1, 1)");

    ok((during { $state->('31') eq 'closed' } 40), 'an exam is closed');
    cmp_ok(Exam::now_ms(), '>=', $now + 8000,
           'not before the last own end, pauses and extra time');
    ok((during { redis('HGET', 'exam:{31}', 'state') eq 'closed' }),
       'Redis shows it');
    is_deeply([map { @$_ } $mysql->sql("SELECT actor, action FROM audit_log"
               . " WHERE exam = '31'")], ['exam-worker', 'exam.close'],
              'the audit log tells who did it');
    is($state->('32'), 'open', 'a pause that runs keeps an exam open');
    is($state->('33'), 'open', 'one of a student, too');
    is($state->('34'), 'open', 'and so does no end at all');

    $mysql->sql("UPDATE students SET paused = 0 WHERE exam = '33'");
    ok((during { $state->('33') eq 'closed' } 45), 'until it is over');
}

is(stop_worker(), 0, 'the worker leaves in order');
done_testing();
